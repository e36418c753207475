"""The three robots of the specification, and where the shared vectors are."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from edge_inference_ros.core.params import specs
from edge_inference_ros.guard.robot import RobotProfile

ROOT = Path(__file__).parents[2]
AMR = RobotProfile()
OUTDOOR = dataclasses.replace(
    AMR, v_cap_mps=2.0, b_mps2=1.5, d_max_m=0.4, range_m=8.0, margin_m=0.5, after_s=0.2
)
HUMANOID = RobotProfile(
    v_cap_mps=1.2,
    w_cap_radps=0.8,
    a_acc_mps2=0.75,
    b_mps2=0.75,
    d_max_m=0.2,
    range_m=4.0,
    strafes=True,
    margin_m=0.4,
    confirm_s=0.067,
    after_s=0.6,
    deadline_cap_s=0.4,
)
ROBOTS = {'amr': AMR, 'outdoor': OUTDOOR, 'humanoid': HUMANOID}


GIVEN = {name: default for name, default, _, spec in specs(RobotProfile) if spec.required}
"""What a watchdog must be given, as parameters: the figures of an indoor AMR."""
ON_THE_COMMAND_LINE = [word for pair in GIVEN.items() for word in ('-p', '{}:={}'.format(*pair))]


def robot(name: str, **changes: Any) -> RobotProfile:
    """A robot of the specification with some figures changed."""
    return dataclasses.replace(ROBOTS[name], **changes)


def vectors() -> dict[str, Any] | None:
    """The shared golden values, where a folder ``shared`` lies beside a checkout above us."""
    for folder in (Path(os.environ.get('EDGE_INFERENCE_SHARED', '')), *ROOT.parents):
        for candidate in (folder, folder / 'shared'):
            path = candidate / 'vectors' / 'deadline_vectors.json'
            if path.is_file():
                loaded: dict[str, Any] = json.loads(path.read_text())
                return loaded
    return None
