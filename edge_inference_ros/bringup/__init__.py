"""What the launch files are made of: their arguments, checked first, and the nodes they start."""
