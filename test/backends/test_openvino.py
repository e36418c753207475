import dataclasses

import numpy as np
import pytest
from backends import nets

from edge_inference_ros.errors import InferenceFailed, ModelError, OutOfMemory, SpecMismatch
from edge_inference_ros.machine import processor

openvino = pytest.importorskip(
    'edge_inference_ros.backends.openvino', reason='OpenVINO is not installed'
)


def opened(path, **options):
    return openvino.open(nets.manifest(path), path, **options)


def test_a_run_reads_and_writes_the_arrays_it_was_opened_with(tmp_path):
    engine = opened(nets.mean_colour(tmp_path / 'net.onnx'))
    seen, answer = engine.inputs['images'], engine.outputs['twice']

    for value in (3, 50):
        seen[:] = value
        engine.run()
        np.testing.assert_array_equal(answer, np.full((1, 3), 2 * value))

    assert engine.inputs['images'] is seen
    assert engine.outputs['twice'] is answer
    engine.close()


def test_an_output_sized_by_the_data_is_looked_up_again_after_every_run(tmp_path):
    engine = opened(nets.bright_pixels(tmp_path / 'net.onnx'))
    assert engine.outputs['where'].shape == (4, 0)

    engine.inputs['images'][0, 2, 5, 1] = 9
    engine.run()
    np.testing.assert_array_equal(engine.outputs['where'], [[0], [2], [5], [1]])

    engine.inputs['images'][0, 3, 0, 0] = 9
    engine.run()
    assert engine.outputs['where'].shape == (4, 2)


def test_the_manifest_settles_a_batch_that_the_file_leaves_open(tmp_path):
    kind = nets.onnx.TensorProto.FLOAT
    shape = ['batch', 4, 6, 3]
    path = nets.save(
        tmp_path / 'net.onnx',
        [nets.onnx.helper.make_node('Neg', ['images'], ['minus'])],
        {'images': (kind, shape)},
        {'minus': (kind, shape)},
    )
    engine = openvino.open(nets.manifest(path, (('minus', (1, 4, 6, 3), 'float32'),)), path)

    engine.inputs['images'][:] = 5
    engine.run()

    assert (engine.outputs['minus'] == np.full((1, 4, 6, 3), -5)).all()


def test_precision_is_what_was_validated_unless_the_manifest_says_bf16(tmp_path):
    path = tmp_path / 'net.onnx'
    path.touch()
    manifest = nets.manifest(path)
    fast = dataclasses.replace(manifest.files[0], precision='bf16')

    assert openvino._settings(manifest, path, 1)['INFERENCE_PRECISION_HINT'] == 'f32'
    manifest = dataclasses.replace(manifest, files=(fast,))
    assert openvino._settings(manifest, path, 1)['INFERENCE_PRECISION_HINT'] == 'bf16'


@pytest.mark.parametrize('data', [b'', b'hello, this is no network', b'\x3a\xff\xff\xff\xff\x7f'])
def test_a_file_that_is_no_network_is_refused_by_name(tmp_path, data):
    path = tmp_path / 'net.onnx'
    path.write_bytes(data)

    with pytest.raises(ModelError, match=r'net\.onnx.*export'):
        opened(path)


def test_an_input_of_unsettled_size_is_refused(tmp_path):
    kind = nets.onnx.TensorProto.FLOAT
    node = nets.onnx.helper.make_node('Relu', ['a'], ['b'])
    path = nets.save(tmp_path / 'net.onnx', [node], {'a': (kind, ['n'])}, {'b': (kind, ['n'])})

    with pytest.raises(SpecMismatch, match=r'a.*settle'):
        opened(path)


@pytest.mark.parametrize(
    ('fault', 'error'),
    [
        (RuntimeError('Exception from plugin: shapes'), InferenceFailed),
        (RuntimeError('Failed to allocate 900 bytes'), OutOfMemory),
        (MemoryError(), OutOfMemory),
    ],
)
def test_what_the_runtime_raises_is_translated(tmp_path, fault, error):
    class Request:
        def infer(self):
            raise fault

    engine = opened(nets.mean_colour(tmp_path / 'net.onnx'))
    engine._request = Request()

    with pytest.raises(error):
        engine.run()


@pytest.mark.parametrize(('saturates', 'weight', 'warned'), [
    (True, 100, True), (True, 64, False), (False, 100, False),
])  # fmt: skip
def test_a_processor_that_costs_accuracy_is_told_of(
    tmp_path, monkeypatch, saturates, weight, warned
):
    monkeypatch.setattr(processor, 'pairs_saturate', lambda: saturates)
    path = nets.bright_sum(tmp_path / 'net.onnx', weight)

    assert ('7 bits' in openvino.caution(path)) == warned
