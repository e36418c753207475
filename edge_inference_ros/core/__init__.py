"""The straight way of a sample, from message to prediction, and the words for it."""
