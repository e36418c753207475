"""Lets in an ONNX file of which no manifest vouches, once a child with limits has read it."""

from __future__ import annotations

from pathlib import Path

from edge_inference_ros.catalog import confined
from edge_inference_ros.core import onnx_file
from edge_inference_ros.errors import ModelError


def admit(path: Path) -> Path:
    """``path``, unless reading it does harm.

    Raises:
        ModelError: no network, one that needs other files, or one whose reading takes too much.
    """
    confined.call(f'{__name__}:read', {'path': str(path)}, str(path), confined.limits_for(path))
    return path


def read(path: str) -> None:
    """Read it as the steps will: called in the child. The library may be missing on a robot."""
    data = onnx_file.read(Path(path))
    try:
        import onnx
    except ImportError:
        return
    try:
        onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data))
    except Exception as error:
        # protobuf's DecodeError is not onnx's to name
        raise ModelError(f'{path}: not an ONNX file: {error}') from error
