"""Looks inside an ONNX file without loading it.

A tensor of an ONNX file may name another file as the place of its data. That file is covered by
no digest and may be any path, so a network that names one is refused before a runtime follows it.
A tensor may also claim more numbers than the file has bytes for; it is refused before a runtime
makes room for them.

The scan costs little for an honest file. A hostile one can make it take long, and the runtime
after it, so a file of which no manifest vouches is first read by a child with limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from edge_inference_ros.errors import ModelError

LARGEST_BYTES = (2 << 30) - 1
"""What protobuf reads; a larger network keeps its weights elsewhere, and is refused for that."""

# Field numbers from onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
# Every message that may hold a tensor, by the field that leads to it, until 'tensor'.
_TENSOR = 'tensor'
_INSIDE = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: _TENSOR, 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {
        5: _TENSOR, 6: 'graph', 10: _TENSOR, 11: 'graph', 22: 'sparse', 23: 'sparse',
    },
    'sparse': {1: _TENSOR, 2: _TENSOR},
}  # fmt: skip
_OPSET_IMPORT = 8
_GRAPH, _NODES, _INPUTS = 7, 1, 11
_READ, _OPERATOR = 1, 4  # of a node
_NAME, _TYPE, _TENSOR_TYPE, _ELEMENT, _UINT8 = 1, 2, 1, 1, 2  # of an input
_DOMAIN, _VERSION = 1, 2
_DIMS = 1
_DATA_TYPE = 2
_INT32_DATA = 5
_RAW_DATA = 9
_EXTERNAL_DATA = 13
_DATA_LOCATION = 14
_INT8 = 3
_MOST_DIMS = 64
_LEAST_BYTES = 0.25  # that a number takes: four of 2 bits share a byte
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST = 64


def read(path: Path) -> bytes:
    """The bytes of an ONNX file that needs no other file.

    Raises:
        ModelError: unreadable, too large, no ONNX file, its weights are elsewhere, or it claims
            more of them than it has.
    """
    size_bytes(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}; is the path right?') from error
    try:
        outside = _names_other_files(memoryview(data), 'model', 0)
    except (ValueError, IndexError) as error:
        raise ModelError(f'{path}: not an ONNX file ({error}); export the network again') from None
    if outside:
        raise ModelError(
            f'{path}: keeps weights in other files, which no digest covers;'
            ' save it as one file: onnx.save(model, path, save_as_external_data=False)'
        )
    return data


def size_bytes(path: Path) -> int:
    """How large the file is.

    Raises:
        ModelError: there is no such file, or it is too large for protobuf.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}; is the path right?') from error
    if size > LARGEST_BYTES:
        raise ModelError(f'{path}: {size} bytes; at most {LARGEST_BYTES}')
    return size


def opset(data: bytes) -> int:
    """Version of the standard operators the network ``data`` is written in; 0 if it says none."""
    with suppress(ValueError, IndexError):  # whoever parses it says what is wrong with it
        return _opset(memoryview(data))
    return 0


def _opset(model: memoryview) -> int:
    for entry in _all(model, _OPSET_IMPORT):
        version = dict(_fields(entry)).get(_VERSION)
        if _text(entry, _DOMAIN) in ('', 'ai.onnx') and isinstance(version, int):
            return version
    return 0


def readers_of_bytes(data: bytes) -> list[str]:
    """Operators other than Cast that read an input of bytes, in the order of the graph."""
    with suppress(ValueError, IndexError):
        return _readers_of_bytes(_first(memoryview(data), _GRAPH))
    return []


def _readers_of_bytes(graph: memoryview) -> list[str]:
    seen = {_text(value, _NAME) for value in _all(graph, _INPUTS) if _holds_bytes(value)}
    readers = [
        _text(node, _OPERATOR)
        for node in _all(graph, _NODES)
        if seen & {bytes(name).decode(errors='replace') for name in _all(node, _READ)}
    ]
    return [operator for operator in readers if operator != 'Cast']


def _holds_bytes(value: memoryview) -> bool:
    return dict(_fields(_first(value, _TYPE, _TENSOR_TYPE))).get(_ELEMENT) == _UINT8


def _all(message: memoryview, field: int) -> list[memoryview]:
    return [v for number, v in _fields(message) if number == field and isinstance(v, memoryview)]


def _first(message: memoryview, *path: int) -> memoryview:
    """The message that a path of fields leads to; an empty one if there is none."""
    for field in path:
        message = next(iter(_all(message, field)), memoryview(b''))
    return message


def _text(message: memoryview, field: int) -> str:
    return bytes(_first(message, field)).decode(errors='replace')


def largest_int8(data: bytes) -> int:
    """The largest magnitude among the signed eight-bit constants; 0 where there are none.

    Args:
        data: of a file that ``read`` has let pass.
    """
    tensors = _tensors(memoryview(data), 'model')
    return max((_largest_int8(tensor) for tensor in tensors), default=0)


def _largest_int8(tensor: memoryview) -> int:
    """Numbers lie raw, or as one varint each, a negative one in ten bytes."""
    kind, raw, listed = 0, memoryview(b''), list[int]()
    for field, value in _fields(tensor):
        if field == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif field == _RAW_DATA and isinstance(value, memoryview):
            raw = value
        elif field == _INT32_DATA:
            listed += [value] if isinstance(value, int) else _packed(value)
    if kind != _INT8:
        return 0
    values = np.array([n & 0xFF for n in listed], np.uint8).view(np.int8)
    numbers = np.concatenate([np.frombuffer(raw, np.int8), values]).astype(np.int16)
    return int(np.abs(numbers).max(initial=0))


def _names_other_files(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError(f'graphs nested deeper than {_DEEPEST}')
    if kind == _TENSOR:
        return _tensor_is_elsewhere(message)
    inside = _INSIDE[kind]
    return any(
        _names_other_files(value, inside[field], depth + 1)
        for field, value in _fields(message)
        if field in inside and isinstance(value, memoryview)
    )


def _tensor_is_elsewhere(message: memoryview) -> bool:
    sizes: list[int] = []
    for field, value in _fields(message):
        if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0):
            return True
        if field == _DIMS:
            sizes += [value] if isinstance(value, int) else _packed(value)
        if len(sizes) > _MOST_DIMS:
            raise ValueError(f'a tensor of more than {_MOST_DIMS} dimensions')
    if sizes and (numbers := math.prod(sizes)) * _LEAST_BYTES > len(message):
        raise ValueError(f'a tensor claims {numbers} numbers in {len(message)} bytes')
    return False


def _packed(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of a protobuf message; nested messages as views."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield field, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f'wire type {wire} at byte {at}')
        if at + size > len(message):
            raise ValueError(f'field {field} ends {at + size - len(message)} bytes too late')
        yield field, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f'a number longer than 10 bytes at byte {at}')


_PRECISIONS = {1: 'fp32', 11: 'fp32', 10: 'fp16', 16: 'bf16', 2: 'int8', 3: 'int8', 17: 'fp8'} | {
    21: 'int4',
    22: 'int4',
}
"""Data types of tensors in onnx.proto, by what a manifest calls them."""

_DATA_TYPE = 2
_SMALL = 16  # numbers; fewer are shapes, scales and zero points


def precision(path: Path) -> str:
    """What a network computes in, told from what most of its weights are stored in.

    Raises:
        ModelError: no ONNX file.
    """
    stored: dict[str, int] = {}
    for tensor in _tensors(memoryview(read(path)), 'model'):
        kind, numbers = _stored(tensor)
        if kind and numbers > _SMALL:
            stored[kind] = stored.get(kind, 0) + numbers
    return max(stored, key=lambda kind: stored[kind]) if stored else 'fp32'


def _tensors(message: memoryview, kind: str) -> Iterator[memoryview]:
    """Every tensor in a file that ``read`` has let in."""
    if kind == _TENSOR:
        yield message
        return
    inside = _INSIDE[kind]
    for field, value in _fields(message):
        if field in inside and isinstance(value, memoryview):
            yield from _tensors(value, inside[field])


def _stored(tensor: memoryview) -> tuple[str, int]:
    kind = ''
    sizes: list[int] = []
    for field, value in _fields(tensor):
        if field == _DATA_TYPE and isinstance(value, int):
            kind = _PRECISIONS.get(value, '')
        if field == _DIMS:
            sizes += [value] if isinstance(value, int) else _packed(value)
    return kind, math.prod(sizes)
