"""What a cloud needs between its message and a head: when each point was measured, and deskew."""
