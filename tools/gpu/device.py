"""Says which device, driver, bindings and TensorRT the GPU tests are about to use."""

from __future__ import annotations

import sys

from edge_inference_ros.backends import _cuda, trt
from edge_inference_ros.errors import BackendUnavailable

EXIT_CODE = 2
"""The machine lacks something; the same as run.sh's."""


def describe() -> str:
    """One line. Raises ``BackendUnavailable``."""
    with _cuda.entered() as cuda:
        gpu, free_mib = cuda.memory.gpu(), cuda.memory.free_bytes() >> 20
        library = trt.library()
    return (
        f'{gpu.name}, compute capability {gpu.capability}, {free_mib} MiB free,'
        f' {"shared" if gpu.integrated else "own"} memory; driver for CUDA {gpu.driver};'
        f' {cuda.provider}; TensorRT {library.__version__}; Python {sys.version.split()[0]}\n'
    )


def main() -> int:
    """Print it, or why there is none."""
    try:
        sys.stdout.write(describe())
    except BackendUnavailable as error:
        sys.stderr.write(f'nothing to test on: {error}\n')
        return EXIT_CODE
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
