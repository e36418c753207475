"""How well two files of one model must agree to be worth the same, by the numbers they use.

A file that rounds finds and loses objects whose score lies at the threshold, so no pair that
differs in numbers agrees in full, and a bound that is right for float16 refuses every int8 file.
Measured with the shipped models on 60 pictures each (rendered scenes; blocks of colour), float
against int8 for ONNX Runtime: 0.984 to 0.989, and 0.958, on a processor with AVX2 only, where
eight bits are multiplied into sixteen and some sums saturate; with VNNI it is more.
"""

from __future__ import annotations

from dataclasses import dataclass

_SHORT = ('int8', 'fp8', 'int4')


@dataclass(frozen=True)
class Expected:
    """The least a pair must reach.

    Attributes:
        pair: the two kinds of numbers, in words.
        agreement: share of objects both find, F1.
        score_difference: most that 95 of 100 scores of one object may differ.
    """

    pair: str
    agreement: float
    score_difference: float


def expected(precision: str, other_precision: str) -> Expected:
    """What two files of one network reach that are worth the same.

    Args:
        precision: as the manifest says it: ``fp32``, ``fp16``, ``int8``, …
        other_precision: of what is judged.
    """
    pair = f'{precision} and {other_precision}'
    if precision in _SHORT or other_precision in _SHORT:
        return Expected(pair, 0.95, 0.12)
    return Expected(pair, 0.98, 0.1)
