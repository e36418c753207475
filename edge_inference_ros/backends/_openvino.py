"""OpenVINO without its report.

Importing it starts a thread that forks this process to send word to its maker, and writes an
identity into the user's home (openvino/tools/ovc/__init__.py), unless the package it does that
with cannot be imported. A process with DDS threads must not be forked, and a robot reports to its
owner.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_REPORTER = 'openvino_telemetry'


def load() -> Any:
    """The module ``openvino``; who has imported it before has decided for themselves."""
    hidden = sys.modules.setdefault(_REPORTER, None)  # type: ignore[arg-type]  # as import allows
    try:
        return importlib.import_module('openvino')
    finally:
        if hidden is None:
            del sys.modules[_REPORTER]
