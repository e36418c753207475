"""What is used to develop the package, and never installed with it."""
