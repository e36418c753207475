"""What a runtime finds in a network's file: inputs, outputs, metadata. Opened in a child."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_inference_ros.catalog import confined, exported
from edge_inference_ros.core import registry
from edge_inference_ros.core.manifest import HeadSpec, InputSpec, Manifest, ModelFile
from edge_inference_ros.core.types import Tensors

USUAL_PX = 640
_BIG_ADDRESSES = ('trt',)  # CUDA reserves more addresses than there is memory


def limits(network: Path, backend: str) -> confined.ChildLimits:
    """What a child that opens the network with this runtime may take."""
    usual = confined.limits_for(network)
    return replace(usual, memory_bytes=0) if backend in _BIG_ADDRESSES else usual


def tensors(
    file: Path,
    size: tuple[int, int] | None,
    layout: str,
    backend: str,
    most: confined.ChildLimits,
) -> dict[str, Any]:
    """Inputs, outputs and metadata of ``file``, its open sizes settled.

    Args:
        file: the network.
        size: height and width for what it leaves open; None takes those of its metadata, or
            ``USUAL_PX``.
        layout: of its input.
        backend: that opens it.
        most: that the child may take.

    Raises:
        ModelError: no network, one that does not run, or one whose reading takes too much.
    """

    def look(settled: tuple[int, int]) -> Any:
        asked = {'file': str(file), 'size': settled, 'layout': layout, 'backend': backend}
        return confined.call(f'{__name__}:look_into', asked, str(file), most)

    first: dict[str, Any] = look(size or (USUAL_PX, USUAL_PX))
    told = exported.picture_size(first['metadata'])
    if size is not None or told is None:
        return first
    again: dict[str, Any] = look(told)
    return again


def look_into(file: str, size: tuple[int, int], layout: str, backend: str) -> dict[str, Any]:
    """In the child: what the runtime says of a network, in types that JSON has."""
    path = Path(file)
    engine: Any = registry.load('backends', backend).open(_draft(path, size, layout), path)
    try:
        return {
            'inputs': _listed(engine.inputs),
            'outputs': _listed(engine.outputs),
            'metadata': dict(getattr(engine, 'metadata', {})),
        }
    finally:
        engine.close()


def _draft(file: Path, size: tuple[int, int], layout: str) -> Manifest:
    """Enough of a manifest for a runtime to settle open sizes."""
    high, wide = size
    return Manifest(
        folder=file.parent,
        name=file.stem,
        task='detect2d',
        licence='',
        made_by='',
        classes=('?',),
        input=InputSpec('', (1, high, wide, 3) if layout == 'nhwc' else (1, 3, high, wide)),
        outputs=(),
        head=HeadSpec(''),
        files=(ModelFile(file, ''),),
    )


def _listed(tensors_: Tensors) -> list[dict[str, Any]]:
    return [
        {'tensor': name, 'shape': list(array.shape), 'dtype': array.dtype.name}
        for name, array in tensors_.items()
    ]
