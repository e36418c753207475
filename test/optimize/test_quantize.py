"""Quantised networks have their Q and DQ nodes where it is said, and answer nearly the same."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import numpy_helper
from support.quantisable import LAYERS, detector, model_folder, picture_folder, pictures, products

from edge_inference_ros.core import onnx_file
from edge_inference_ros.core.manifest import load, verify
from edge_inference_ros.core.params import build
from edge_inference_ros.core.pipeline import open_pipeline
from edge_inference_ros.core.types import Image, Origin
from edge_inference_ros.errors import ConfigError, ParameterError
from edge_inference_ros.optimize import calibrate, quantize
from edge_inference_ros.optimize.graph.network import NEWEST_IR, NEWEST_OPSET, opset

EDGES = {'numbers', 'planes', 'scaled', 'scores', 'sides', 'boxes', 'output0'}


@pytest.fixture(scope='module')
def ready(tmp_path_factory):
    """A model folder and its calibration."""
    folder = tmp_path_factory.mktemp('quantize')
    model = model_folder(folder / 'small')
    images = picture_folder(folder / 'images', pictures())
    asked = build(calibrate.Params, {'source': str(images)})
    calibrate.run(model, folder / 'ranges', asked)
    return model, folder / 'ranges'


def made(ready, out, **asked):
    model, ranges = ready
    said = {'calibration': str(ranges), 'runs': 2, **asked}
    report = quantize.run(model, out, build(quantize.Params, said))
    return onnx.load(report.out), report


def makers(network):
    return {name: node for node in network.graph.node for name in node.output}


def constants(network):
    return {t.name: numpy_helper.to_array(t) for t in network.graph.initializer}


def named(network):
    return {node.name: node for node in network.graph.node}


def test_for_tensorrt_every_layer_reads_symmetric_eight_bits_and_a_float_bias(ready, tmp_path):
    network, _ = made(ready, tmp_path, dialect='trt')

    by, values = makers(network), constants(network)
    for layer in LAYERS:
        seen, weight, bias = named(network)[layer].input
        assert by[seen].op_type == by[weight].op_type == 'DequantizeLinear'
        assert by[by[seen].input[0]].op_type == 'QuantizeLinear'
        assert values[by[weight].input[0]].dtype == np.int8
        assert values[by[weight].input[1]].shape == (values[bias].size,)
        assert values[bias].dtype == np.float32
    zeros = [values[n.input[2]] for n in network.graph.node if n.op_type.endswith('eLinear')]
    assert all(z.dtype == np.int8 and not z.any() for z in zeros)


def test_for_tensorrt_nothing_stands_between_a_layer_and_its_activation(ready, tmp_path):
    network, _ = made(ready, tmp_path, dialect='trt')

    by = makers(network)
    for name in ('stem', 'squeeze', 'expand'):
        assert by[named(network)[f'{name}_relu'].input[0]].name == name


def test_for_tensorrt_only_the_summand_from_memory_is_quantised(ready, tmp_path):
    network, _ = made(ready, tmp_path, dialect='trt')

    by = makers(network)
    from_memory, fresh = (by[name] for name in named(network)['sum'].input)
    assert fresh.name == 'expand_relu'
    assert from_memory.op_type == 'DequantizeLinear'
    assert by[by[from_memory.input[0]].input[0]].name == 'stem_relu'


def test_for_onnx_runtime_every_layer_is_one_operator_on_unsigned_numbers(ready, tmp_path):
    network, _ = made(ready, tmp_path, dialect='ort', form='qoperator')

    kinds = [node.op_type for node in network.graph.node]
    assert kinds.count('QLinearConv') == len(LAYERS)
    assert 'Conv' not in kinds
    assert kinds.count('QuantizeLinear') == 1
    assert kinds.count('DequantizeLinear') == 2
    zero = next(n for n in network.graph.node if n.op_type == 'QuantizeLinear').input[2]
    assert constants(network)[zero].dtype == np.uint8


@pytest.mark.parametrize(
    'asked',
    [
        {'dialect': 'ort'},
        {'dialect': 'ort', 'form': 'qdq'},
        {'dialect': 'trt'},
        {'precision': 'fp8'},
        {'precision': 'fp16'},
    ],
    ids=lambda asked: '-'.join(asked.values()),
)
def test_what_precedes_and_follows_the_layers_stays_float(ready, tmp_path, asked):
    network, _ = made(ready, tmp_path, **asked)

    kept = named(network)
    assert {name for name in kept if not kept[name].op_type.startswith('QLinear')} >= EDGES
    assert network.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [kept[name].op_type for name in ('scaled', 'scores', 'boxes')] == [
        'Mul', 'Sigmoid', 'Mul',
    ]  # fmt: skip
    for name in ('byte', 'stride'):
        assert constants(network)[name].dtype == np.float32


def test_a_kept_layer_reads_its_float_weights(ready, tmp_path):
    network, _ = made(ready, tmp_path, dialect='trt', keep=['squ*', 'regress'])

    for name in LAYERS:
        plain = f'{name}.weight' in named(network)[name].input
        assert plain == (name in ('squeeze', 'regress'))


def test_a_name_that_fits_no_node_is_refused(ready, tmp_path):
    with pytest.raises(ConfigError, match='no node is called'):
        made(ready, tmp_path, keep=['conv9*'])


HIGH = {'dialect': 'trt', 'high': 'fp16'}


def kinds_of(network):
    """Tensor → its number format."""
    inferred = onnx.shape_inference.infer_shapes(network, strict_mode=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in inferred.graph.initializer}


def test_beside_int8_the_rest_can_be_written_in_float16(ready, tmp_path):
    network, report = made(ready, tmp_path, **HIGH)

    kinds, by = kinds_of(network), named(network)
    half, whole = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert opset(network) == 19
    for layer in LAYERS:
        assert {kinds[name] for name in [*by[layer].input, *by[layer].output]} == {half}
    scales = {n.input[1] for n in network.graph.node if n.op_type.endswith('eLinear')}
    assert {kinds[scale] for scale in scales} == {half}
    for name in EDGES:
        assert {kinds[name] for name in by[name].output} == {whole}
    assert report.out.endswith('model_int8_fp16_trt.onnx')


def test_float16_beside_int8_answers_what_float32_does(ready, tmp_path):
    _, high = made(ready, tmp_path, **HIGH)
    _, plain = made(ready, tmp_path, dialect='trt')

    seen = np.load(ready[1] / 'inputs.npy')[:1]
    one, other = (_session(report.out).run(None, {'images': seen})[0] for report in (plain, high))
    # A value half a step away may fall either way, and runtimes differ in it: 20 dB.
    assert np.linalg.norm(one - other) < 0.1 * np.linalg.norm(one)


@pytest.mark.parametrize(
    'asked', [{'dialect': 'ort'}, {'precision': 'fp16', 'calibration': ''}, {'precision': 'fp8'}]
)
def test_float16_beside_int8_is_for_tensorrt(ready, tmp_path, asked):
    with pytest.raises(ParameterError, match='beside int8 is for trt'):
        made(ready, tmp_path, high='fp16', **asked)


@pytest.mark.parametrize('asked', [{'dialect': 'ort'}, {'dialect': 'trt'}, {'precision': 'fp16'}])
def test_the_answers_stay_close(ready, tmp_path, asked):
    _, report = made(ready, tmp_path, **asked)

    assert report.facts['sqnr_db'] > 20
    assert report.facts['ort_speedup'] > 0


@pytest.mark.parametrize(
    ('asked', 'largest'),
    [({'dialect': 'ort'}, 64), ({'dialect': 'ort', 'form': 'qoperator'}, 64),
     ({'dialect': 'ort', 'weight_bits': 8}, 127),
     ({'dialect': 'ort', 'form': 'qoperator', 'weight_bits': 8}, 127),
     ({'dialect': 'trt'}, 127), ({'dialect': 'trt', 'weight_bits': 7}, 64)],
)  # fmt: skip
def test_weights_for_processors_have_seven_bits(ready, tmp_path, asked, largest):
    network, report = made(ready, tmp_path, **asked)

    weights = [value for value in constants(network).values() if value.dtype == np.int8]
    assert max(np.abs(value.astype(int)).max() for value in weights) == largest
    assert onnx_file.largest_int8(Path(report.out).read_bytes()) == largest


def test_other_widths_are_refused(ready, tmp_path):
    with pytest.raises(ParameterError, match='7 or 8'):
        made(ready, tmp_path, weight_bits=6)


def test_seven_bits_answer_on_every_processor_as_plain_arithmetic_does(ready, tmp_path):
    _, report = made(ready, tmp_path, dialect='ort')

    shown = pictures()[:4, :32, :48]
    given, plain = _session(report.out), _session(report.out, plain=True)
    for one in shown:
        wanted = plain.run(None, {'images': one[None]})[0]
        # Rounded in another order: by a step of the scores at most, where cut-off sums lose half.
        assert np.abs(given.run(None, {'images': one[None]})[0] - wanted)[:, 4:].max() < 0.05


@pytest.mark.parametrize('precision', ['int8', 'fp16', 'fp8'])
def test_the_file_is_one_that_tensorrt_10_3_parses(ready, tmp_path, precision):
    network, _ = made(ready, tmp_path, precision=precision, dialect='trt')

    assert opset(network) <= NEWEST_OPSET
    assert network.ir_version <= NEWEST_IR
    assert {said.domain for said in network.opset_import} <= {'', 'ai.onnx'}
    onnx.checker.check_model(network, full_check=True)


@pytest.mark.parametrize('precision', ['int8', 'fp16', 'fp8'])
def test_the_same_network_gives_the_same_bytes(ready, tmp_path, precision):
    _, one = made(ready, tmp_path / 'one', precision=precision)
    _, two = made(ready, tmp_path / 'two', precision=precision)

    assert one.facts['sha256'] == two.facts['sha256']


def test_eight_bit_floats_stand_where_int8_does_and_onnx_runtime_emulates_them(ready, tmp_path):
    network, report = made(ready, tmp_path, precision='fp8')
    eight, _ = made(ready, tmp_path, precision='int8', dialect='trt')

    kinds = [node.op_type for node in network.graph.node]
    assert kinds == [node.op_type for node in eight.graph.node]
    assert any('Not measured' in note for note in report.notes)
    session = _session(report.out, plain=True)
    wanted = _session(ready[0] / 'model.onnx')
    seen = np.load(ready[1] / 'inputs.npy')[:1]
    one, other = (s.run(None, {'images': seen})[0] for s in (wanted, session))
    assert np.abs(one - other)[:, 4:].max() < 0.1


def _session(path, *, plain=False):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if plain:  # its fusions know no float8
        options.add_session_config_entry('session.disable_quant_qdq', '1')
        level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.graph_optimization_level = level
    return onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])


@pytest.mark.parametrize(('dialect', 'kind'), [('ort', 'MatMulNBits'), ('trt', 'MatMul')])
def test_matrix_products_get_four_bit_weights(tmp_path, dialect, kind):
    pytest.importorskip('onnx_ir', reason='the four-bit quantiser needs it')
    path = products(tmp_path / 'net.onnx')
    asked = build(quantize.Params, {'precision': 'int4', 'dialect': dialect, 'runs': 2})

    report = quantize.run(path, tmp_path / 'small.onnx', asked)

    network = onnx.load(report.out)
    assert [n.op_type for n in network.graph.node].count(kind) == 2
    assert report.facts['size_ratio'] < 0.3
    x = np.random.default_rng(0).random((1, 4, 64), np.float32)
    one, other = (_session(p).run(None, {'x': x})[0] for p in (path, report.out))
    assert np.linalg.norm(one - other) < 0.25 * np.linalg.norm(one)
    assert '"step": "quantize"' in (tmp_path / 'small.json').read_text()


def test_four_bits_are_refused_for_a_network_of_convolutions(tmp_path):
    pytest.importorskip('onnx_ir', reason='the four-bit quantiser needs it')
    path = detector(tmp_path / 'net.onnx')

    with pytest.raises(ConfigError, match='transformers'):
        quantize.run(path, tmp_path / 'o.onnx', build(quantize.Params, {'precision': 'int4'}))


def test_the_manifest_says_where_the_file_comes_from_and_a_node_can_run_it(ready, tmp_path):
    _, report = made(ready, tmp_path / 'new', form='qoperator')

    manifest = load(tmp_path / 'new')
    first, eight = manifest.files
    verify(first)
    verify(eight)
    assert (eight.precision, eight.backends) == ('int8', ('ort', 'openvino'))
    known = eight.provenance
    assert known['from']['sha256'] == first.sha256
    assert known['calibration']['frames'] == 12
    assert {'onnx', 'onnxruntime', 'python'} <= set(known['tools'])
    assert known['before']['bytes'] > known['after']['bytes'] == report.facts['bytes']
    with ExitStack() as keep:
        pipeline = open_pipeline(manifest, keep, backend='ort', precision='int8')
        pipeline(Image(Origin('camera', 1, 0), pictures(1)[0], 'bgr'))


def test_a_second_dialect_joins_the_first_in_place(ready, tmp_path):
    made(ready, tmp_path)
    model, ranges = tmp_path, ready[1]
    asked = {'calibration': str(ranges), 'runs': 2, 'dialect': 'trt'}
    for _ in range(2):
        quantize.run(model, model, build(quantize.Params, asked))

    said = yaml.safe_load((tmp_path / 'manifest.yaml').read_text())
    assert [f['path'] for f in said['files']] == [
        'model.onnx', 'model_int8.onnx', 'model_int8_trt.onnx',
    ]  # fmt: skip
    assert load(tmp_path).file('openvino', 'int8').path.name == 'model_int8.onnx'
    assert load(tmp_path).file('trt', 'int8').path.name == 'model_int8_trt.onnx'


def test_a_calibration_of_another_network_is_refused(ready, tmp_path):
    other = model_folder(tmp_path / 'other', seed=5)

    with pytest.raises(ConfigError, match='calibrate it again'):
        made((other, ready[1]), tmp_path / 'out')


def test_int8_without_a_calibration_is_refused():
    with pytest.raises(ParameterError, match='optimize calibrate'):
        build(quantize.Params, {'precision': 'int8'})


@pytest.mark.parametrize('despite', [False, True])
def test_a_network_that_answers_noise_is_not_registered_unless_told(
    ready, tmp_path, monkeypatch, despite
):
    def spoilt(*_, **__):
        return {'bytes': 9}, {'bytes': 5, 'sha256': 'x', 'sqnr_db': -8.0, 'ort_speedup': 0.5}, []

    monkeypatch.setattr(quantize, 'measured', spoilt)

    _, report = made(ready, tmp_path / 'out', precision='int8', despite=despite)

    assert ('more noise than signal (-8.0 dB)' in report.refused) is not despite
    assert 'Slower' in report.notes[-1]
    precisions = [file.precision for file in load(tmp_path / 'out').files]
    assert precisions == (['fp32', 'int8'] if despite else ['fp32'])
