"""What this processor can do with eight-bit numbers, and what it is called."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

CPUINFO = Path('/proc/cpuinfo')
_X86 = ('x86_64', 'amd64', 'i386', 'i686')
SAFE_INT8 = 64
"""The largest weight of which a pair times 255 fits 16 bits."""

_EXACT = {'avx512_vnni', 'avx_vnni', 'avx_vnni_int8', 'amx_int8'}
"""Flags of instructions that add products of eight-bit numbers in 32 bits."""

_SETS = (
    ('avx512_vnni', 'AVX-512 VNNI'),
    ('avx_vnni', 'AVX2 VNNI'),
    ('avx512bw', 'AVX-512 without VNNI'),
    ('avx2', 'AVX2 without VNNI'),
    ('sse4_1', 'SSE4.1'),
    ('asimddp', 'NEON with dot products'),
    ('asimd', 'NEON'),
)


def flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """What the kernel says the first processor can; empty where it says nothing."""
    for key in ('flags', 'Features'):
        for words in _values(cpuinfo, key):
            return frozenset(words.split())
    return frozenset()


def name(cpuinfo: Path = CPUINFO) -> str:
    """The processor's own name, how many cores we may use, and its instruction set."""
    called = next(iter(_values(cpuinfo, 'model name')), platform.machine())
    cores = len(os.sched_getaffinity(0))
    return ', '.join(filter(None, (called, f'{cores} cores', instruction_set(flags(cpuinfo)))))


def instruction_set(known: Iterable[str]) -> str:
    """The one that eight-bit networks run on, in words; empty when unknown."""
    return next((words for flag, words in _SETS if flag in set(known)), '')


def pairs_saturate(machine: str = '', known: Iterable[str] | None = None) -> bool:
    """Whether two products of an unsigned and a signed byte are added in 16 bits and cut off.

    True of x86 processors without VNNI, whose only instruction for it is PMADDUBSW. Where the
    kernel says nothing of an x86 processor we expect the worse.

    Args:
        machine: as ``platform.machine`` says; this one's unless given.
        known: flags of the processor; this one's unless given.
    """
    if (machine or platform.machine()).lower() not in _X86:
        return False
    return not _EXACT & set(flags() if known is None else known)


def _values(cpuinfo: Path, key: str) -> Iterable[str]:
    try:
        lines = cpuinfo.read_text(encoding='utf-8').splitlines()
    except OSError:
        return []
    return [
        line.partition(':')[2].strip() for line in lines if line.partition(':')[0].strip() == key
    ]
