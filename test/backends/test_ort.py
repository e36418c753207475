import numpy as np
import pytest
from backends import nets

from edge_inference_ros.errors import InferenceFailed, ModelError, OutOfMemory, SpecMismatch
from edge_inference_ros.machine import processor

ort = pytest.importorskip('edge_inference_ros.backends.ort', reason='ONNX Runtime is not here')


def opened(path, **options):
    return ort.open(nets.manifest(path), path, **options)


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


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.int64, np.int32, np.uint8, np.bool_])
def test_every_tensor_type_passes_through(tmp_path, dtype):
    kind = nets.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node = nets.onnx.helper.make_node('Concat', ['a', 'a'], ['b'], axis=0)
    path = nets.save(tmp_path / 'net.onnx', [node], {'a': (kind, [1, 2])}, {'b': (kind, [2, 2])})
    engine = opened(path, threads=2)

    engine.inputs['a'][:] = [[1, 0]]
    engine.run()

    assert engine.outputs['b'].dtype == dtype
    np.testing.assert_array_equal(engine.outputs['b'], np.array([[1, 0], [1, 0]], dtype))


@pytest.mark.parametrize('data', [b'', b'hello, this is no network', b'\x3a\xff\xff\xff\xff\x7f'])
def test_a_file_that_is_no_network_is_refused_by_name(tmp_path, data):
    path = tmp_path / 'net.onnx'
    path.write_bytes(data)

    with pytest.raises(ModelError, match=r'net\.onnx.*export'):
        opened(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match='No such file'):
        opened(tmp_path / 'net.onnx')


def test_weights_in_another_file_are_refused(tmp_path):
    path = nets.mean_colour(
        tmp_path / 'net.onnx', save_as_external_data=True, location='w', size_threshold=0
    )

    with pytest.raises(ModelError, match='other files'):
        opened(path)


def test_outputs_that_do_and_do_not_say_their_size_are_told_apart(tmp_path):
    proto, node = nets.onnx.TensorProto, nets.onnx.helper.make_node
    path = nets.save(
        tmp_path / 'net.onnx',
        [node('NonZero', ['a'], ['where']), node('Neg', ['a'], ['minus'])],
        {'a': (proto.FLOAT, [3])},
        {'where': (proto.INT64, [1, 'n']), 'minus': (proto.FLOAT, [3])},
    )
    engine = opened(path)
    minus = engine.outputs['minus']

    for seen, where in (([0, 7, 0], [[1]]), ([1, 2, 3], [[0, 1, 2]])):
        engine.inputs['a'][:] = seen
        engine.run()
        assert engine.outputs['where'].tolist() == where
        assert minus.tolist() == [-value for value in seen]

    assert engine.outputs['minus'] is minus


def test_the_manifest_settles_a_batch_that_the_file_leaves_open(tmp_path):
    kind = nets.onnx.TensorProto.UINT8
    node = nets.onnx.helper.make_node('Identity', ['images'], ['same'])
    shape = ['batch', 4, 6, 3]
    path = nets.save(
        tmp_path / 'net.onnx', [node], {'images': (kind, shape)}, {'same': (kind, shape)}
    )
    engine = ort.open(nets.manifest(path, (('same', (1, 4, 6, 3), 'uint8'),)), path)
    answer = engine.outputs['same']

    engine.inputs['images'][:] = 5
    engine.run()

    assert engine.inputs['images'].shape == (1, 4, 6, 3)
    assert engine.outputs['same'] is answer
    assert (answer == 5).all()


def test_an_input_of_unsettled_size_is_refused(tmp_path):
    kind = nets.onnx.TensorProto.FLOAT
    node = nets.onnx.helper.make_node('Relu', ['a'], ['b'])
    path = nets.save(tmp_path / 'net.onnx', [node], {'a': (kind, ['n'])}, {'b': (kind, ['n'])})

    with pytest.raises(SpecMismatch, match=r"'a'.*settle"):
        opened(path)


def test_a_tensor_type_without_numbers_is_refused(tmp_path):
    kind = nets.onnx.TensorProto.STRING
    node = nets.onnx.helper.make_node('Identity', ['a'], ['b'])
    path = nets.save(tmp_path / 'net.onnx', [node], {'a': (kind, [1])}, {'b': (kind, [1])})

    with pytest.raises(SpecMismatch, match='string'):
        opened(path)


def gather(path):
    """Picks the element an index names: an index out of range fails at run time, not before."""
    proto = nets.onnx.TensorProto
    return nets.save(
        path,
        [nets.onnx.helper.make_node('Gather', ['table', 'index'], ['b'])],
        {'index': (proto.INT64, [1])},
        {'b': (proto.FLOAT, [1])},
        {'table': np.arange(3, dtype=np.float32)},
    )


def test_a_run_that_fails_says_so_and_the_next_one_works(tmp_path):
    engine = opened(gather(tmp_path / 'net.onnx'))

    engine.inputs['index'][:] = 99
    with pytest.raises(InferenceFailed, match='99'):
        engine.run()

    engine.inputs['index'][:] = 2
    engine.run()
    assert engine.outputs['b'] == 2


def test_a_network_that_needs_too_much_memory_is_out_of_memory(tmp_path):
    proto, node = nets.onnx.TensorProto, nets.onnx.helper.make_node
    path = nets.save(
        tmp_path / 'net.onnx',
        [node('Expand', ['a', 'shape'], ['huge']), node('ReduceMax', ['huge'], ['b'], keepdims=0)],
        {'a': (proto.FLOAT, [1])},
        {'b': (proto.FLOAT, [])},
        {'shape': np.array([1 << 46], np.int64)},
    )

    with pytest.raises(OutOfMemory):
        opened(path)


def test_the_engine_says_how_many_threads_it_has_and_why(tmp_path):
    path = nets.mean_colour(tmp_path / 'net.onnx')

    assert opened(path, threads=2).notes == ('ONNX Runtime: 2 threads: as asked',)
    assert 'one is left to the executor' in opened(path).notes[0]


def test_sums_of_large_eight_bit_weights_are_exact_on_every_processor(tmp_path):
    path = nets.bright_sum(tmp_path / 'net.onnx', 100)
    engine = ort.open(nets.manifest(path, (('sum', (1, 8, 4, 6), 'float32'),)), path, threads=1)

    engine.inputs['images'][:] = 200
    engine.run()

    step = 2.0**16 / 200
    np.testing.assert_allclose(engine.outputs['sum'], round(3 * 200 * 100 / step) * step)


@pytest.mark.parametrize(('saturates', 'weight', 'warned'), [
    (True, 100, True), (True, 64, False), (True, -64, False), (True, -65, True),
    (False, 100, False),
])  # fmt: skip
def test_a_processor_that_costs_something_is_told_of(
    tmp_path, monkeypatch, saturates, weight, warned
):
    monkeypatch.setattr(processor, 'pairs_saturate', lambda: saturates)
    path = nets.bright_sum(tmp_path / 'net.onnx', weight)

    assert ('7 bits' in ort.caution(path)) == warned
    assert path.name in (ort.caution(path) or path.name)
