"""What TensorRT says. It has no error codes for its callers: its words tell why it refused.

Each phrase is one TensorRT was heard to say, 8.6 on a GPU whose memory others held, 10 and later
in public reports. A word alone, such as "memory", would take one cause for another.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from functools import lru_cache
from typing import Any

_MESSAGES = 8
_OUT_OF_MEMORY = re.compile(
    r'out of memory|OutOfMemory|cudaErrorMemoryAllocation|memory \(\d+ bytes\) could not be',
    re.IGNORECASE,
)
_LOGGERS = threading.Lock()
_LACKS_WORKSPACE = re.compile(r'insufficient workspace|increas\w+ (the )?workspace', re.IGNORECASE)


def out_of_memory(messages: str) -> bool:
    """Whether the device was full."""
    return bool(_OUT_OF_MEMORY.search(messages))


def lacks_workspace(messages: str) -> bool:
    """Whether what one layer may use for itself was too little, however much the device has."""
    return bool(_LACKS_WORKSPACE.search(messages))


def log(trt: Any) -> Any:
    """The process's one logger: TensorRT ignores every later one. Registers its plug-ins too."""
    with _LOGGERS:  # lru_cache lets two threads that come at once make one each
        return _log(trt)


@lru_cache(maxsize=1)
def _log(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps the last errors, for whoever has to say why something failed."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._said: deque[str] = deque(maxlen=_MESSAGES)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self._said.append(msg)

        def take(self) -> str:
            """The errors since the last call."""
            messages = '; '.join(
                dict.fromkeys(text for text in self._said if text.strip(' :0123456789'))
            )
            self._said.clear()
            return messages

    log = Log()
    trt.init_libnvinfer_plugins(log, '')
    return log
