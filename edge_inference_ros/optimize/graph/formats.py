"""Which numbers a quantised network has, what its file is called, and which runtimes read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_inference_ros.optimize.graph import int8

BACKENDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ('int8', 'ort'): ('ort', 'openvino'),
    ('int8', 'trt'): ('trt',),
    ('int4', 'ort'): ('ort',),
    ('int4', 'trt'): ('trt',),
    ('fp8', 'trt'): ('trt',),
}
"""Runtimes that read a file of these numbers and this dialect; fp16 is for all, so not here."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How the numbers of a network are written.

    Attributes:
        precision: int8, fp16, int4 or fp8.
        dialect: runtime it is for, ort or trt; fp16 and fp8 have one way only.
        form: of int8, qdq or qoperator; empty: qdq.
        weight_bits: of int8, 7 or 8; 0: what suits the dialect.
        high: precision of what int8 leaves.
        block: of int4, weights that share a scale.
        keep: patterns of the nodes that stay float.
    """

    precision: str
    dialect: str
    form: str = ''
    weight_bits: int = 0
    high: str = 'fp32'
    block: int = 32
    keep: tuple[str, ...] = ()

    @property
    def written_form(self) -> str:
        """How an int8 network is written: ``form``, or its default."""
        return self.form or 'qdq'

    @property
    def written_dialect(self) -> str:
        """The dialect, where the precision leaves a choice."""
        return {'fp8': 'trt', 'fp16': 'any'}.get(self.precision, self.dialect)

    @property
    def file_name(self) -> str:
        """What the file is called unless somebody names it."""
        dialect = '_trt' if self.written_dialect == 'trt' else ''
        high = '_fp16' if self.high == 'fp16' else ''
        return f'model_{self.precision}{high}{dialect}.onnx'

    @property
    def backends(self) -> tuple[str, ...]:
        """Runtimes that read the file; empty: all."""
        if self.high == 'fp16':
            return ('trt',)
        return BACKENDS.get((self.precision, self.written_dialect), ())

    def facts(self) -> dict[str, Any]:
        """What shapes the file, for its provenance."""
        facts: dict[str, Any] = {'precision': self.precision, 'dialect': self.written_dialect}
        if self.precision == 'int8':
            facts |= {'form': self.written_form, 'high': self.high}
            facts['weight_bits'] = self.weight_bits or int8.WEIGHT_BITS[self.dialect]
        if self.precision == 'int4':
            facts['block'] = self.block
        return {**facts, 'keep': list(self.keep)}
