"""What a person sees of a long step while it runs."""
