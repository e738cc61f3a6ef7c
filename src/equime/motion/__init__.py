"""Facial movement in a clip, by optical flow, with the head's taken off; onset, apex and offset in it."""
