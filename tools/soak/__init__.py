"""Hours of work in minutes: whether what runs for long keeps what it took at first."""
