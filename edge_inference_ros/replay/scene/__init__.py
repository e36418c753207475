"""What the demo plays: a rendered drive, or pictures of one's own."""
