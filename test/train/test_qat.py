"""What is trained with rounding is what the eight-bit file holds, at the places it always had."""

import copy

import pytest

torch = pytest.importorskip('torch', reason='training needs torch, which is not installed')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript, which is not installed')
pytest.importorskip('pycocotools', reason='scoring needs pycocotools, which is not installed')

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.filterwarnings('ignore::FutureWarning'),
]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from support import trainable  # noqa: E402
from support.quantisable import model_folder as foreign_folder  # noqa: E402
from support.quantisable import picture_folder, pictures  # noqa: E402

from edge_inference_ros.core import manifest  # noqa: E402
from edge_inference_ros.core.params import build  # noqa: E402
from edge_inference_ros.errors import ConfigError, ParameterError, SpecMismatch  # noqa: E402
from edge_inference_ros.optimize import calibrate, quantize  # noqa: E402
from edge_inference_ros.optimize.graph import ranges  # noqa: E402
from edge_inference_ros.optimize.graph.int8 import WEIGHT_BITS, WEIGHT_STEPS  # noqa: E402
from edge_inference_ros.optimize.graph.network import save  # noqa: E402
from edge_inference_ros.train import deploy, fit, net, qat, rounded, tuning  # noqa: E402  # noqa: E402


@pytest.fixture(scope='module')
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp('qat')
    world = trainable.world(folder / 'world')
    model = trainable.model_folder(folder / 'small')
    asked = build(calibrate.Params, {'source': str(world / 'train'), 'frames': 4, 'keep': 4})
    calibrate.run(model, folder / 'ranges', asked)
    return world, model, folder / 'ranges'


def params(ready, **said):
    usual = {'data': str(ready[0]), 'steps': 3, 'cooldown': 2, 'whole': 3, 'batch': 2}
    usual |= {'warmup': 1, 'threads': 1, 'runs': 1, 'every': 2, 'calibration': str(ready[2])}
    return build(qat.Params, {**usual, **said})


def places(path):
    """Every node, with what it reads and makes, but not the numbers."""
    network = onnx.load(str(path))
    return sorted((n.op_type, tuple(n.input), tuple(n.output)) for n in network.graph.node)


def rounding(ready, dialect):
    """A network to be trained with rounding, and the file that was only calibrated."""
    calibration = ranges.read(ready[2])
    writer = qat._Writer(ready[1] / 'model.onnx', params(ready, dialect=dialect, form='qdq'))
    made = rounded.Rounded(writer.plain, writer(writer.plain, calibration.ranges))
    return made, writer, calibration


@pytest.mark.parametrize(
    ('dialect', 'form'), [('trt', 'qdq'), ('ort', 'qdq'), ('ort', 'qoperator')]
)
def test_nodes_are_where_calibration_alone_puts_them(ready, tmp_path, dialect, form):
    said = {'dialect': dialect, 'form': form, 'rate': 1e-3}
    report = qat.run(ready[1], tmp_path / 'trained', params(ready, **said))

    said |= {'calibration': str(ready[2]), 'runs': 1}
    del said['rate']
    alone = quantize.run(ready[1], tmp_path / 'alone', build(quantize.Params, said))
    assert places(report.out) == places(alone.out)
    assert report.facts['sha256'] != alone.facts['sha256']
    assert report.facts['agreement_db'] > 20


@pytest.mark.parametrize('dialect', ['trt', 'ort'])
def test_rounding_in_torch_is_that_of_the_runtime(ready, tmp_path, dialect):
    made, writer, calibration = rounding(ready, dialect)
    save(writer(writer.plain, calibration.ranges), tmp_path / 'q.onnx')
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        str(tmp_path / 'q.onnx'), options, ['CPUExecutionProvider']
    )
    plain = deploy.onnx_predict(ready[1] / 'model.onnx')

    apart, lost = [], []
    for shown in calibration.inputs[:, None]:
        with torch.no_grad():
            wanted = net.Deployed(made)(torch.from_numpy(shown)).numpy()
        given = session.run(None, {calibration.tensor: shown})[0]
        apart.append(np.square(wanted - given).mean())
        lost.append(np.square(plain(shown) - given).mean())

    # a value on the edge between two roundings, which goes the other way, spoils single pictures
    assert np.median(apart) < 1e-3 * np.median(lost)


@pytest.mark.parametrize('dialect', ['trt', 'ort'])
def test_the_file_holds_the_trained_weights_and_scales(ready, dialect):
    made, writer, calibration = rounding(ready, dialect)
    with torch.no_grad():
        for scale in made.scales.values():
            scale.add_(0.1)
        for weight in made.weights.values():
            weight.mul_(1.3)

    written = writer(made.plain(writer.plain), {**calibration.ranges, **made.ranges()})

    again = rounded.Rounded(made.plain(writer.plain), written)
    for name, scale in made.scales.items():
        torch.testing.assert_close(again.scales[name], scale)
    there = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    for name, weight in made.weights.items():
        known = there.get(name.replace('/', '.') + '_quantized')
        if known is not None and known.dtype == np.int8:
            largest = weight.detach().abs().flatten(1).amax(1)[:, None, None, None]
            steps = WEIGHT_STEPS[WEIGHT_BITS[dialect]]
            wanted = (weight.detach() / largest * steps).round()
            assert np.abs(known - wanted.numpy()).max() <= 1


def test_gradients_reach_weights_and_scales_and_stop_where_values_are_cut_off():
    x = torch.tensor([0.2, 0.26, 5.0, -5.0], requires_grad=True)
    scale = torch.tensor(0.1, requires_grad=True)

    made = rounded._Round.apply(x, scale, (0, -4, 3))
    made.sum().backward()

    torch.testing.assert_close(made, torch.tensor([0.2, 0.3, 0.3, -0.4]))
    assert x.grad.tolist() == [1, 1, 0, 0]
    # inside: rounded minus exact number of steps; outside: the limit
    by_hand = (0.0 + 0.4 + 3 - 4) / (4 * 3.5) ** 0.5
    assert float(scale.grad) == pytest.approx(by_hand, abs=1e-5)


def test_training_brings_the_rounded_network_nearer_to_the_float_one(ready):
    made, _, _ = rounding(ready, 'trt')
    with torch.no_grad():  # as a bad calibration would leave it
        for scale in made.scales.values():
            scale.sub_(1.0)
    plain, shown = trainable.detector(), trainable.pictures(4)
    wanted, _ = trainable.answers(plain, shown)

    def apart(model):
        return float((trainable.answers(model, shown)[0] - wanted).square().mean())

    def imitate(pictures, levels, labels):
        with torch.no_grad():
            theirs, _ = net.flat(plain(pictures))
        return 1000 * (net.flat(levels)[0] - theirs).square().mean()

    schedule = fit.Schedule(20, batch=2, rate=2e-3, warmup=1, cooldown=4, whole=20)
    before = apart(made)
    state = fit.start(made, schedule)
    fit.fit(state, trainable.joined(ready[0]), schedule, fit.Hooks(extra_loss=imitate))

    assert apart(state.averaged) < 0.5 * before


def test_a_resumed_run_gives_the_bytes_of_one_that_was_not_interrupted(
    ready, tmp_path, monkeypatch
):
    asked = params(ready, steps=4)
    whole = qat.run(ready[1], tmp_path / 'whole', asked)

    class Stop(Exception):
        pass

    class StopAtThree:
        def __call__(self, report):
            if report.step == 3:
                raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(tuning.train_camera, 'Progress', StopAtThree)
        with pytest.raises(Stop):
            qat.run(ready[1], tmp_path / 'half', asked)
    resumed = qat.run(ready[1], tmp_path / 'half', asked)

    assert resumed.facts['sha256'] == whole.facts['sha256']


def test_the_file_joins_its_folder_and_says_what_it_was_made_from(ready, tmp_path):
    asked = params(ready, labelled=str(ready[0] / 'held_out'), pictures=2)

    report = qat.run(ready[1], tmp_path, asked, made_by='a test')

    said = manifest.load(tmp_path)
    manifest.verify(said.files[1])
    assert (said.files[1].precision, said.files[1].backends) == ('int8', ('trt',))
    known = said.files[1].provenance
    assert known['from']['sha256'] == said.files[0].sha256
    assert known['params']['dialect'] == 'trt'
    assert known['calibration']['frames'] == 4
    assert all('accuracy' in known[name] for name in ('before', 'calibrated', 'after'))
    assert [row['network'] for row in report.rows] == ['before', 'calibrated', 'after']


def test_a_file_that_does_not_answer_what_was_trained_is_not_written(ready, tmp_path, monkeypatch):
    right = rounded.Rounded.ranges
    monkeypatch.setattr(
        rounded.Rounded,
        'ranges',
        lambda self: {name: (low / 9, high / 9) for name, (low, high) in right(self).items()},
    )

    with pytest.raises(SpecMismatch, match='nothing was written'):
        qat.run(ready[1], tmp_path, params(ready, steps=1))

    assert not (tmp_path / 'model_int8_trt.onnx').exists()
    assert not list(tmp_path.glob('*.part*'))


def test_what_cannot_be_trained_with_rounding_is_refused_by_name(ready, tmp_path):
    with pytest.raises(ParameterError, match='optimize calibrate'):
        build(qat.Params, {})
    foreign = foreign_folder(tmp_path / 'foreign')
    source = picture_folder(tmp_path / 'pictures', pictures(2))
    asked = build(calibrate.Params, {'source': str(source), 'frames': 2})
    calibrate.run(foreign, tmp_path / 'ranges', asked)
    with pytest.raises(ConfigError, match='not one that edge_inference train camera made'):
        qat.run(foreign, tmp_path / 'a', params(ready, calibration=str(tmp_path / 'ranges')))
    with pytest.raises(ConfigError, match='calibrate it again'):
        qat.run(ready[1], tmp_path / 'a', params(ready, calibration=str(tmp_path / 'ranges')))

    strange = copy.deepcopy(onnx.load(str(ready[1] / 'model.onnx')))
    next(n for n in strange.graph.node if n.op_type == 'Relu').op_type = 'Tanh'
    with pytest.raises(ConfigError, match='Tanh cannot be trained'):
        rounded.Rounded(strange, strange)
