"""A machine with a GPU, a driver and TensorRT, none of them real."""

from __future__ import annotations

import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest
from backends.fake_device import FakeDevice, LibCuda, bindings_module, pycuda_module
from backends.fake_tensorrt import network, onnx_bytes, tensorrt_module

from edge_inference_ros.backends import _cuda, _trt_plans, trt
from edge_inference_ros.core.engine_options import EngineOptions
from edge_inference_ros.core.manifest import (
    HeadSpec,
    InputSpec,
    Manifest,
    ModelFile,
    TensorSpec,
    digest,
)


class Machine:
    """Fakes in place of the libraries, and a model to run on them."""

    def __init__(self, monkeypatch, folder):
        self._monkeypatch = monkeypatch
        self.folder = folder
        self.cache = folder / 'engines'

    def start(self, *, version='10.3.0', providers=_cuda.PROVIDERS, **device):
        self.device = FakeDevice(**device)
        self.trt = tensorrt_module(self.device, version)
        put = self._monkeypatch.setitem
        put(sys.modules, 'tensorrt', self.trt)
        put(sys.modules, 'pycuda', ModuleType('pycuda') if 'pycuda' in providers else None)
        there = pycuda_module(self.device) if 'pycuda' in providers else None
        put(sys.modules, 'pycuda.driver', there)
        there = bindings_module(self.device) if 'cuda-bindings' in providers else None
        put(sys.modules, 'cuda.bindings.driver', there)
        put(sys.modules, 'cuda.bindings', SimpleNamespace(driver=there) if there else None)
        put(sys.modules, 'cuda', SimpleNamespace())
        self._monkeypatch.setattr(_cuda, 'load_library', lambda: LibCuda(self.device))
        self._monkeypatch.setattr(_cuda, '_here', threading.local())
        return self

    def model(self, *, shape=None, promised=None, **change):
        """A model folder's manifest, and its ONNX file."""
        said = network(**change)
        path = self.folder / 'net.onnx'
        path.write_bytes(onnx_bytes(said))
        seen = said['inputs'][0]
        promised = promised or [
            (o['name'], tuple(o['shape']), o['dtype']) for o in said['outputs']
        ]
        manifest = Manifest(
            folder=self.folder,
            name='net',
            task='detect2d',
            licence='Apache-2.0',
            made_by='a test',
            classes=('one',),
            input=InputSpec(seen['name'], tuple(shape or seen['shape']), seen['dtype']),
            outputs=tuple(TensorSpec(*output) for output in promised),
            head=HeadSpec('yolov8'),
            files=(ModelFile(path, digest(path)),),
        )
        return manifest, path

    def build(self, path, **options):
        extra = {k: options.pop(k) for k in ('anew', 'progress') if k in options}
        return trt.build(path, EngineOptions(**options), cache=str(self.cache), **extra)

    def options(self, **said):
        return _trt_plans.Options(cache=str(self.cache), **said)

    def open(self, manifest, path, *, checkpoint=lambda: None, **said):
        return trt.open(manifest, path, options=self.options(**said), checkpoint=checkpoint)

    def opened(self, *, options=None, build=None, checkpoint=lambda: None, **change):
        """The engine of a model built a moment ago."""
        manifest, path = self.model(**change)
        self.build(path, **(build or {}))
        return self.open(manifest, path, checkpoint=checkpoint, **(options or {}))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path)
