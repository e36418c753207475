"""Perception whose latency is measured, bounded and enforced: a ROS 2 package for edge robots.

Nothing here reports to anybody. ONNX Runtime 1.31 would: threads, a database in the user's cache
and uploads to its maker, unless this variable is set before it is loaded (its Privacy.md).
"""

import os

os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')

__version__ = '0.2.0'
"""As in package.xml and setup.py."""
