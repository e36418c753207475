"""Training of the camera detector: network, targets, data, the loop, accuracy and export.

The modules need torch and are imported by the command that runs them, never by the robot.
"""
