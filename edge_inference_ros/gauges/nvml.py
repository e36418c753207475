"""Load and temperature of NVIDIA GPUs that NVML knows; a Jetson's are not among them.

Source: NVML API reference, nvmlDeviceGetUtilizationRates and nvmlDeviceGetTemperature. On Orin
NVML starts and then answers "not supported" to every question, so nothing is read there.
"""

from __future__ import annotations

import contextlib
from typing import Any


class Nvml:
    """The first GPU."""

    def __init__(self, pynvml: Any, device: Any) -> None:
        self._nvml, self._device = pynvml, device

    def read(self) -> dict[str, float]:
        """``gpu`` (0 to 1) and ``gpu_c``; what the driver does not say is not in it."""
        nvml, readings = self._nvml, {}
        with contextlib.suppress(nvml.NVMLError):
            readings['gpu'] = nvml.nvmlDeviceGetUtilizationRates(self._device).gpu / 100
        with contextlib.suppress(nvml.NVMLError):
            sensor = nvml.NVML_TEMPERATURE_GPU
            readings['gpu_c'] = float(nvml.nvmlDeviceGetTemperature(self._device, sensor))
        return readings


def open() -> Nvml | None:  # noqa: A001 - what every gauge's file calls it
    """The gauge, or None without the library, a driver or a GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return Nvml(pynvml, pynvml.nvmlDeviceGetHandleByIndex(0))
    except pynvml.NVMLError:
        return None
