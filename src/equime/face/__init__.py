"""What every subsystem needs to know of a face: detector, alignment, anatomy, what each Action Unit moves."""
