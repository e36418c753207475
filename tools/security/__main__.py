"""``python -m tools.security``: holds the policy file against the nodes, or writes it anew."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.security import graph, policy

SHIPPED = Path(__file__).parents[2] / 'config/security/policies/edge_inference.policy.xml'


def main() -> int:
    """Print every difference; the exit status is 1 if there is one."""
    parser = argparse.ArgumentParser(
        'python -m tools.security',
        description=__doc__,
        epilog='What follows -- goes to both nodes: -- -r __ns:=/front -r image:=/front/image_raw',
    )
    parser.add_argument('--write', action='store_true', help='write the file')
    parser.add_argument('--policy', type=Path, default=SHIPPED, help='the file [%(default)s]')
    parser.add_argument('ros_args', nargs='*', help='remappings and parameters of this robot')
    said = parser.parse_args()
    used = _used(said.ros_args)
    if said.write:
        said.policy.write_text(policy.write(used), encoding='utf-8')
        return 0
    found = policy.differences(used, policy.read(said.policy))
    print('\n'.join(found) or f'{said.policy} is exactly what the nodes use')  # noqa: T201
    return 1 if found else 0


def _used(ros_args: list[str]) -> list[policy.Profile]:
    """The profiles, from nodes that nobody else can see."""
    alone = (
        {'ROS_LOCALHOST_ONLY': '1'}
        if os.environ.get('ROS_DISTRO') == 'humble'
        else {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}
    )
    os.environ.update(alone, ROS_SECURITY_ENABLE='false')
    import rclpy

    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    try:
        return graph.profiles(ros_args, context=context)
    finally:
        context.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
