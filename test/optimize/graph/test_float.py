"""What is said to stay float32 is not rounded on the way."""

from __future__ import annotations

import numpy as np
import pytest
from optimize.networks import detector, onnx

from edge_inference_ros.optimize.graph import network
from edge_inference_ros.optimize.graph.float import half

onnxruntime = pytest.importorskip('onnxruntime', reason='ONNX Runtime runs the networks')


def loaded(folder, **said):
    detector(folder, **said)
    return network.load(folder / 'net.onnx')


def answer(model, pixels):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
    return session.run(None, {'images': pixels})[0]


@pytest.mark.parametrize('width', [640, 1280])
def test_boxes_are_as_exact_at_the_far_edge_as_at_the_near_one(tmp_path, width):
    whole = loaded(tmp_path, width=width, height=64)
    rounded = half(whole)
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (1, 64, width, 3), np.uint8)

    error_px = np.abs(answer(whole, pixels) - answer(rounded, pixels))[0, :4]

    far = answer(whole, pixels)[0, 0] > width / 2
    assert far.any()
    # Sixteen bits tell pixels beyond 512 apart by 0.5, and beyond 1024 by 1.
    assert error_px[:, far].max() < 0.1
    assert error_px[:, far].max() < 2 * error_px[:, ~far].max()


def casts(model):
    """(from, to) of each cast, by the number formats of its tensors."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return [
        (kinds[node.input[0]], kinds[node.output[0]])
        for node in inferred.graph.node
        if node.op_type == 'Cast'
    ]


def test_there_is_one_cast_into_float16_and_one_out_of_it(tmp_path):
    kind = onnx.TensorProto

    found = casts(half(loaded(tmp_path)))

    assert sorted(found) == sorted(
        [(kind.UINT8, kind.FLOAT), (kind.FLOAT, kind.FLOAT16), (kind.FLOAT16, kind.FLOAT)]
    )


def test_a_rounding_that_the_network_itself_wants_stays(tmp_path):
    whole = loaded(tmp_path)
    helper, kind = onnx.helper, onnx.TensorProto
    last = whole.graph.node[-1]
    last.output[0] = 'exact'
    whole.graph.node.extend([
        helper.make_node('Cast', ['exact'], ['short'], name='down', to=kind.FLOAT16),
        helper.make_node('Cast', ['short'], ['output0'], name='up', to=kind.FLOAT),
    ])  # fmt: skip

    names = [node.name for node in half(whole).graph.node]

    assert {'down', 'up'} <= set(names)
