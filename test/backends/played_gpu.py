"""A pytest plug-in: the GPU suite on the fakes, with ONNX Runtime doing TensorRT's arithmetic.

It shows that every line of the suite runs and asks what can be answered, on any machine; whether a
GPU answers it is for a GPU to say. ``PLAYED_TENSORRT`` is the version, ``PLAYED_JETSON`` shares
the memory.
"""

from __future__ import annotations

import base64
import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import onnxruntime
from backends import fake_tensorrt
from backends.fake_device import FakeDevice, LibCuda, bindings_module, pycuda_module

from edge_inference_ros.backends import _cuda

CAPACITY = 8 << 30


class Arithmetic(dict):
    """A program that is no name of the fake's is an ONNX file in base64."""

    def __missing__(self, program):
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            base64.b64decode(program), settings, providers=['CPUExecutionProvider']
        )
        names = [node.name for node in session.get_inputs()]

        def run(arrays):
            return session.run(
                None, dict(zip(names, map(np.ascontiguousarray, arrays), strict=True))
            )

        self[program] = run
        return run


def described(model):
    """A network as the fake knows one."""
    graph = onnx.load_from_string(model).graph
    weights = {constant.name for constant in graph.initializer}
    return {
        'inputs': [tensor(value) for value in graph.input if value.name not in weights],
        'outputs': [tensor(value) for value in graph.output],
        'program': base64.b64encode(model).decode(),
        'layers': list(fused(graph.node)),
    }


def tensor(value):
    kind = value.type.tensor_type
    return {
        'name': value.name,
        'dtype': str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)),
        'shape': [dim.dim_value or -1 for dim in kind.shape.dim],
    }


def fused(nodes):
    """Names of layers: a convolution takes the activation behind it along."""
    before = ''
    for node in nodes:
        name = node.name or f'node_of_{node.output[0]}'
        if before and node.op_type == 'Relu':
            yield f'{before} + {name}'
            before = ''
            continue
        if before:
            yield before
        before = name if node.op_type == 'Conv' else ''
        if not before:
            yield name
    if before:
        yield before


def parse(parser, model, path=None):
    try:
        parser._network._said = described(bytes(model))
    except Exception as error:  # noqa: BLE001 - told as the real one tells it
        parser._errors.append(repr(error))
    return not parser._errors


def install():
    """Put the fakes where the libraries would be."""
    device = FakeDevice(capacity=CAPACITY, integrated='PLAYED_JETSON' in os.environ)
    version = os.environ.get('PLAYED_TENSORRT', '10.3.0')
    tensorrt = fake_tensorrt.tensorrt_module(device, version)
    tensorrt.OnnxParser.parse = parse
    fake_tensorrt.PROGRAMS = Arithmetic(fake_tensorrt.PROGRAMS)
    driver = bindings_module(device)
    sys.modules.update({
        'tensorrt': tensorrt,
        'pycuda': ModuleType('pycuda'),
        'pycuda.driver': pycuda_module(device),
        'cuda': SimpleNamespace(),
        'cuda.bindings': SimpleNamespace(driver=driver),
        'cuda.bindings.driver': driver,
    })  # fmt: skip
    _cuda.load_library = lambda: LibCuda(device)


install()
