"""Runs the nodes of an installed workspace as a robot does: ``python -m … INSTALL``.

Each executable of ``INSTALL/edge_inference_ros/lib`` is started with nothing but the workspace to
find things in, until it is active; then it must end cleanly. The model and the parameter files are
those of the workspace, however it was built: by copies or by links.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NODES = {'camera_detector': (), 'watchdog': ('--params-file', 'config/robots/indoor_amr.yaml')}
DEADLINE_S = 60.0
ACTIVE = 3  # lifecycle_msgs/State


def main() -> int:
    """Start each node; the exit status is 1 with the log of one that did not work."""
    package = Path(sys.argv[1]) / 'edge_inference_ros'
    share = package / 'share' / 'edge_inference_ros'
    for node, options in NODES.items():
        words = [str(share / word) if '/' in word else word for word in options]
        command = [str(package / 'lib' / 'edge_inference_ros' / node), '--ros-args']
        if fault := _run(node, [*command, '-p', 'autostart:=true', *words]):
            print(f'{node} of {package}: {fault}')  # noqa: T201
            return 1
        links = sum(path.is_symlink() for path in share.rglob('*'))
        print(f'{node} of {package}: active, ended cleanly ({links} links)')  # noqa: T201
    return 0


def _run(node: str, command: list[str]) -> str:
    """Why the node did not become active or end cleanly; empty if it did."""
    env = {**os.environ, 'PYTHONUNBUFFERED': '1'}
    with subprocess.Popen(
        command, env=env, cwd='/', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        active = _becomes_active(node, process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=DEADLINE_S)
    if not active:
        return f'did not become active:\n{said}'
    return '' if process.returncode == 0 else f'ended with {process.returncode}:\n{said}'


def _becomes_active(node: str, process: subprocess.Popen[str]) -> bool:
    import rclpy
    from lifecycle_msgs.srv import GetState

    rclpy.init()
    probe = rclpy.create_node('probe')
    states = probe.create_client(GetState, f'/{node}/get_state')
    end = time.monotonic() + DEADLINE_S
    try:
        while process.poll() is None and time.monotonic() < end:
            if not states.wait_for_service(timeout_sec=0.5):
                continue
            answer = states.call_async(GetState.Request())
            rclpy.spin_until_future_complete(probe, answer, timeout_sec=1.0)
            if answer.done() and answer.result().current_state.id == ACTIVE:
                return True
        return False
    finally:
        probe.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
