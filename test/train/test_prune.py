"""What is pruned is gone for good, the file says so, and ONNX Runtime answers as torch does."""

import pytest

torch = pytest.importorskip('torch', reason='training needs torch, which is not installed')
pytest.importorskip('torch_pruning', reason='channels are taken out by it')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript, which is not installed')
pytest.importorskip('pycocotools', reason='scoring needs pycocotools, which is not installed')

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.filterwarnings('ignore::FutureWarning'),
]

import numpy as np  # noqa: E402
from support import trainable  # noqa: E402

from edge_inference_ros.core import manifest  # noqa: E402
from edge_inference_ros.core.params import build  # noqa: E402
from edge_inference_ros.errors import ConfigError  # noqa: E402
from edge_inference_ros.train import deploy, fit, prune, restore, thin, tuning  # noqa: E402  # noqa: E402


@pytest.fixture(scope='module')
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp('prune')
    return trainable.world(folder / 'world'), trainable.model_folder(folder / 'small')


def params(world, **said):
    usual = {'data': str(world), 'steps': 3, 'cooldown': 2, 'whole': 3, 'batch': 2, 'warmup': 1}
    usual |= {'threads': 1, 'runs': 1, 'every': 2, 'round_to': 4}
    return build(prune.Params, {**usual, **said})


def agree(folder):
    """Whether the folder's ONNX file answers as its checkpoint does."""
    detector = fit.trained(folder / 'checkpoint.pt')
    shape = (2, trainable.HIGH_PX, trainable.WIDE_PX, 3)
    shown = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    given = deploy.onnx_predict(folder / 'model.onnx')(shown)
    np.testing.assert_allclose(given, deploy.torch_predict(detector)(shown), atol=0.02)
    return detector


@pytest.mark.parametrize(('importance', 'ranking'), [('taylor', 'global'), ('l2', 'uniform')])
def test_fewer_channels_are_left_and_the_file_agrees_with_torch(
    ready, tmp_path, importance, ranking
):
    world, model = ready
    asked = params(
        world, importance=importance, ranking=ranking,
        labelled=str(world / 'held_out'), pictures=2,
    )  # fmt: skip

    report = prune.run(model, tmp_path / 'thin', asked, made_by='a test')

    detector = agree(tmp_path / 'thin')
    assert thin.channels(detector) < thin.channels(trainable.detector())
    widths = {m.out_channels % 4 for m in thin.maskable(detector).values()}
    assert widths == {0}
    assert report.facts['multiplications_ratio'] < 0.85
    said = manifest.load(tmp_path / 'thin')
    manifest.verify(said.files[0])
    assert (said.name, said.classes) == ('small_thin', trainable.CLASSES)
    known = said.files[0].provenance
    assert known['from']['sha256'] == manifest.digest(model / 'model.onnx')
    assert known['params']['importance'] == importance
    assert known['after']['channels'] < known['before']['channels']
    assert {'accuracy', 'ort_ms'} <= set(known['after'])
    assert 'ap50_loss' in report.facts


def test_two_of_four_weights_along_the_input_channels_stay_zero_through_training(ready, tmp_path):
    world, model = ready

    report = prune.run(model, tmp_path / 'sparse', params(world, method='2:4', rate=0.01))

    detector = agree(tmp_path / 'sparse')
    before = thin.maskable(restore.folded(restore.restored(model).detector))
    for name, layer in thin.maskable(detector).items():
        groups = layer.weight.detach().unflatten(1, (-1, 4))
        assert ((groups == 0).sum(2) == 2).all(), name
        assert not torch.equal(layer.weight, before[name].weight)
    assert 'Dense kernels' in report.notes[0]
    assert any(not (p == 0).any() for p in thin.predictors(detector)[0].parameters())


def test_masked_weights_are_the_smallest_of_all_and_stay_zero_through_training(ready, tmp_path):
    world, model = ready

    prune.run(model, tmp_path / 'a', params(world, method='unstructured', share=0.4, rate=0.01))

    detector = agree(tmp_path / 'a')
    before = thin.maskable(restore.folded(restore.restored(model).detector))
    limit = np.quantile(
        np.concatenate([m.weight.detach().abs().flatten() for m in before.values()]), 0.4
    )
    for name, layer in thin.maskable(detector).items():
        small = before[name].weight.abs() < 0.999 * limit
        assert (layer.weight[small] == 0).all()
        assert (layer.weight[before[name].weight.abs() > 1.001 * limit] != 0).all()


def test_the_blocks_whose_absence_costs_least_are_left_out(ready, tmp_path):
    world, model = ready

    prune.run(model, tmp_path / 'short', params(world, method='layers', share=0.3))

    detector = agree(tmp_path / 'short')
    kinds = [type(m).__name__ for m in detector.modules()]
    assert kinds.count('Residual') == 5  # of seven
    again = restore.folded(restore.restored(model).detector)
    batches = prune._batches(trainable.joined(world), params(world))
    names = [n for n, m in again.named_modules() if type(m).__name__ == 'Residual']
    with torch.no_grad():
        alone = {name: thin._without(again, name, batches) for name in names}
    first = min(alone, key=alone.get)
    assert f'{first}.expand.0.weight' not in detector.state_dict()


@pytest.mark.parametrize('method', ['structured', 'unstructured'])
def test_a_resumed_run_gives_the_bytes_of_one_that_was_not_interrupted(
    ready, tmp_path, monkeypatch, method
):
    world, model = ready
    asked = params(world, method=method, steps=4)
    whole = prune.run(model, tmp_path / 'whole', asked)

    class Stop(Exception):
        pass

    class StopAtThree:
        def __call__(self, report):
            if report.step == 3:
                raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(tuning.train_camera, 'Progress', StopAtThree)
        with pytest.raises(Stop):
            prune.run(model, tmp_path / 'half', asked)
    resumed = prune.run(model, tmp_path / 'half', asked)

    assert resumed.facts['sha256'] == whole.facts['sha256']


def test_without_data_weights_can_go_but_nothing_is_trained(ready, tmp_path):
    _, model = ready
    asked = params('', method='unstructured', steps=0, share=0.5)

    report = prune.run(model, tmp_path / 'a', asked)

    assert 0.4 < report.facts['zeros'] < 0.55
    agree(tmp_path / 'a')


def test_a_pruned_folder_can_be_pruned_again(ready, tmp_path):
    world, model = ready
    prune.run(model, tmp_path / 'one', params(world, steps=1))
    (tmp_path / 'one' / 'checkpoint.pt').unlink()

    report = prune.run(tmp_path / 'one', tmp_path / 'two', params(world, steps=1, method='layers'))

    assert report.facts['parameters_ratio'] < 1
    agree(tmp_path / 'two')


def test_what_cannot_be_pruned_is_refused_by_name(ready, tmp_path):
    world, model = ready
    for said, words in (
        ({}, 'data: needed to train'),
        ({'steps': 0, 'importance': 'taylor'}, 'channels by --importance l2'),
    ):
        with pytest.raises(ConfigError, match=words):
            prune.run(model, tmp_path / 'a', params('', **said))
    with pytest.raises(ConfigError, match='no such file'):
        prune.run(tmp_path / 'none.onnx', tmp_path / 'a', params(world))
    prune.run(model, tmp_path / 'a', params(world, steps=1))
    with pytest.raises(ConfigError, match='holds a run with params'):
        prune.run(model, tmp_path / 'a', params(world, steps=1, share=0.5))
    (tmp_path / 'a' / 'checkpoint.run.json').unlink()
    with pytest.raises(ConfigError, match=r'checkpoint\.pt is of another run'):
        prune.run(model, tmp_path / 'a', params(world, steps=1))
    with pytest.raises(ConfigError, match='choose another folder'):
        prune.run(model, model, params(world, steps=1))
