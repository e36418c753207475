"""What a CUDA error number means for the process.

Most errors belong to one call. A *sticky* one belongs to the context: "the process must be
terminated and relaunched" (CUDA driver API reference, CUresult). Every later call on the device
would answer the same, so a node that lived on would publish nothing and look alive.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from edge_inference_ros.errors import InferenceFailed, OutOfMemory

OUT_OF_MEMORY = 2
EXIT_CODE = os.EX_SOFTWARE
STICKY = {
    214: 'ECC_UNCORRECTABLE',
    220: 'NVLINK_UNCORRECTABLE',
    226: 'CONTAINED',
    700: 'ILLEGAL_ADDRESS',
    702: 'LAUNCH_TIMEOUT',
    709: 'CONTEXT_IS_DESTROYED',
    710: 'ASSERT',
    714: 'HARDWARE_STACK_ERROR',
    715: 'ILLEGAL_INSTRUCTION',
    716: 'MISALIGNED_ADDRESS',
    717: 'INVALID_ADDRESS_SPACE',
    718: 'INVALID_PC',
    719: 'LAUNCH_FAILED',
    721: 'TENSOR_MEMORY_LEAK',
    810: 'MPS_CLIENT_TERMINATED',
    999: 'UNKNOWN',
}


def is_sticky(code: int) -> bool:
    """Whether the context, and so the process, is beyond repair."""
    return code in STICKY


def fail(call: str, code: int) -> NoReturn:
    """Raise what ``code`` means, or end the process if it is sticky; 0 tells nothing.

    Raises:
        OutOfMemory: the device is full; the process can go on.
        InferenceFailed: this call was refused.
    """
    if is_sticky(code):
        end_process(call, code)
    if code == OUT_OF_MEMORY:
        raise OutOfMemory(f'{call}: the device is out of memory')
    raise InferenceFailed(f'{call}: CUDA error {code}' if code else call)


def end_process(call: str, code: int) -> NoReturn:
    """Say why, then exit at once: clean-up would wait for a device that answers nothing."""
    sys.stderr.write(
        f'FATAL {call}: CUDA error {code} ({STICKY[code]}). The CUDA context is lost and cannot be'
        ' repaired from inside; ending the process so that it is started again.\n'
    )
    sys.stderr.flush()
    os._exit(EXIT_CODE)
