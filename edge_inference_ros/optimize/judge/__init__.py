"""How good a network is: accuracy, agreement, people in time, speed."""
