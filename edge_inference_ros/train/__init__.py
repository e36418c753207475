"""Training: networks, targets, data, the loop, and every step that trains.

The modules need torch and are imported by the command that runs them, never by the robot.
"""
