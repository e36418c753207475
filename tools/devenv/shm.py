"""Removes the shared memory that killed processes left: ``python -m tools.devenv.shm``."""

from __future__ import annotations

import logging

from edge_inference_ros.ros.segments import sweep

log = logging.getLogger(__name__)

if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    if freed_bytes := sweep():
        log.info('removed %.0f MB of shared memory that killed processes left', freed_bytes / 1e6)
