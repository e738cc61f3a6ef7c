"""Who is in a clip and what the face does: estimated and measured attributes, each with how far it can be trusted."""
