"""Robots from files: the shipped examples by name, everybody's own by its path."""

from __future__ import annotations

import os

from edge_inference_ros.core.params import build, missing, specs
from edge_inference_ros.core.share import locate
from edge_inference_ros.errors import ParameterError
from edge_inference_ros.guard.robot import RobotProfile


def read_robot(name: str) -> RobotProfile:
    """The profile in a parameter file of the watchdog; what is not about the robot is left out.

    Args:
        name: of a file in ``config/robots``, or the path of one (it has a slash).

    Raises:
        ParameterError: unreadable, no parameter file, or a figure is unsound or missing; names the
            file.
    """
    from edge_inference_ros.core.manifest import read_yaml

    whole = name.endswith('.yaml') or os.sep in name  # a path is taken as it is
    path = locate('config/robots', name if whole else f'{name}.yaml')
    table = read_yaml(path, ParameterError).get('/**')
    figures = table.get('ros__parameters') if isinstance(table, dict) else None
    if not isinstance(figures, dict):
        raise ParameterError(f"{path}: expected a mapping '/**' with a mapping ros__parameters")
    known = {field for field, *_ in specs(RobotProfile)}
    try:
        robot = build(RobotProfile, {key: figures[key] for key in figures if key in known})
    except ParameterError as error:
        raise ParameterError(f'{path}: {error}') from None
    if left_out := missing(RobotProfile, figures):
        raise ParameterError(f'{path}: no figure for {", ".join(left_out)}, which must be given')
    return robot
