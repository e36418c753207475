"""Real engines on a real device; skipped, with the reason, where there is none."""

from __future__ import annotations

import functools
from pathlib import Path

import onnx
import pytest

from edge_inference_ros.backends import _cuda, _trt_build, _trt_plans, trt
from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.errors import BackendUnavailable

ROOT = Path(trt.__file__).parents[2]


@functools.lru_cache(maxsize=1)
def why_not():
    """Why nothing here can run; empty if it can. Asks the driver before TensorRT is touched."""
    try:
        with _cuda.entered():
            trt.library()
    except BackendUnavailable as error:
        return str(error)
    return ''


@pytest.fixture(autouse=True)
def _device():
    if why_not():
        pytest.skip(why_not())


def shipped():
    """Every network of the repository that TensorRT may run: (folder, file)."""
    for path in sorted((ROOT / 'models').glob(f'*/{manifests.FILE_NAME}')):
        for file in manifests.load(path.parent).files:
            if 'trt' in (file.backends or ('trt',)) and file.path.suffix == '.onnx':
                yield pytest.param(path.parent, file, id=f'{path.parent.name}-{file.precision}')


SINCE_18 = {('Resize', 'antialias'): 0, ('Resize', 'keep_aspect_ratio_policy'): b'stretch'}
"""Attributes that say what earlier opsets do anyway."""


def readable(path, folder):
    """The network at ``path``, said to be of opset 17 where TensorRT reads no newer one.

    The shipped ones use nothing that opset 18 changed; ONNX Runtime runs the file as it is, so a
    difference would show.
    """
    if version() >= (10,):
        return path
    model = onnx.load(str(path))
    model.opset_import[0].version = min(model.opset_import[0].version, 17)
    for node in model.graph.node:
        for said in [a for a in node.attribute if (node.op_type, a.name) in SINCE_18]:
            assert onnx.helper.get_attribute_value(said) == SINCE_18[node.op_type, said.name]
            node.attribute.remove(said)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(folder / path.name))
    return folder / path.name


def version():
    """Major and minor of the library."""
    return _trt_build.version(trt.library())


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    """One folder of engines for the whole run: each is built once."""
    return tmp_path_factory.mktemp('gpu') / 'engines'


@pytest.fixture
def opened(cache):
    """Opens engines, building them first, and closes them after the test."""
    engines = []

    def opens(manifest, path, *, build=None, **said):
        options = EngineOptions(**(build or {}))
        trt.build(path, options, cache=str(cache))
        said = {'precision': options.precision, 'dla_core': options.dla_core, **said}
        engine = trt.open(manifest, path, options=_trt_plans.Options(cache=str(cache), **said))
        engines.append(engine)
        return engine

    yield opens
    for engine in reversed(engines):
        engine.close()
