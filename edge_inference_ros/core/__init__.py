"""What a detection is, how long it took and how long it may be believed: pure Python and numpy."""
