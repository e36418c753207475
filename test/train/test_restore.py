"""A shipped network can be trained further, though its file holds no normalisations."""

import copy

import pytest

torch = pytest.importorskip('torch', reason='training needs torch, which is not installed')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript, which is not installed')

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.filterwarnings('ignore::FutureWarning'),
]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from support import trainable  # noqa: E402
from support.quantisable import detector as foreign_network  # noqa: E402
from torch import nn  # noqa: E402

from edge_inference_ros.errors import ConfigError  # noqa: E402
from edge_inference_ros.train import camera as train_camera  # noqa: E402
from edge_inference_ros.train import deploy, fit, net, restore  # noqa: E402


@pytest.fixture(scope='module')
def shipped(tmp_path_factory):
    return trainable.model_folder(tmp_path_factory.mktemp('shipped') / 'small')


def close(one, other, *, atol=2e-4):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=1e-4)


def test_a_shipped_file_gives_back_the_detector_it_was_exported_from(shipped):
    found = restore.restored(shipped)

    assert found.detector.config == trainable.SMALL
    assert found.classes == trainable.CLASSES
    assert found.path == shipped / 'model.onnx'
    shown = trainable.pictures()
    close(trainable.answers(found.detector, shown), trainable.answers(trainable.detector(), shown))


def training(detector, shown):
    """Class logits as training sees them, normalised by the batch."""
    return trainable.answers(copy.deepcopy(detector).train(), shown)[0]


def test_settling_changes_no_answer_but_fits_the_normalisations_to_the_pictures(shipped):
    detector = restore.restored(shipped).detector
    shown = trainable.pictures(4)
    before = trainable.answers(detector, shown)
    apart = training(detector, shown) - before[0]

    restore.settle(detector, [shown])

    close(trainable.answers(detector, shown), before)
    after = training(detector, shown) - before[0]
    assert after.abs().max() < 0.05 * apart.abs().max()


def test_folding_changes_no_answer():
    detector, shown = trainable.detector(), trainable.pictures()

    folded = restore.folded(detector)

    close(trainable.answers(folded, shown), trainable.answers(detector, shown))
    assert all(
        (m.running_mean == 0).all() for m in folded.modules() if isinstance(m, nn.BatchNorm2d)
    )


def test_a_folder_with_a_checkpoint_is_restored_from_it(shipped, tmp_path):
    folder = trainable.model_folder(tmp_path / 'small')
    other = trainable.detector(seed=3)
    trainable.checkpoint(folder / train_camera.CHECKPOINT, other)

    found = restore.restored(folder)

    shown = trainable.pictures()
    assert found.path.name == train_camera.CHECKPOINT
    close(trainable.answers(found.detector, shown), trainable.answers(other, shown))


def narrowed():
    """A detector without a residual block, and with fewer channels inside another."""
    made = trainable.detector()
    made.stages[1][1] = nn.Identity()
    squeeze, expand = made.stages[2][1].squeeze, made.stages[2][1].expand
    squeeze[0].weight.data = squeeze[0].weight.data[:4]
    for name in ('weight', 'bias'):
        getattr(squeeze[1], name).data = getattr(squeeze[1], name).data[:4]
    for name in ('running_mean', 'running_var'):
        setattr(squeeze[1], name, getattr(squeeze[1], name)[:4])
    expand[0].weight.data = expand[0].weight.data[:, :4]
    return made


def test_a_pruned_shape_survives_checkpoint_and_export(tmp_path):
    made = narrowed()
    shown = trainable.pictures()
    trainable.checkpoint(tmp_path / 'a.pt', made)
    deploy.export(made, tmp_path / 'a.onnx', width=trainable.WIDE_PX, height=trainable.HIGH_PX)

    for path in (tmp_path / 'a.pt', tmp_path / 'a.onnx'):
        found = restore.restored(path).detector
        close(trainable.answers(found, shown), trainable.answers(made, shown))
        assert sum(isinstance(m, net.Residual) for m in found.stages.modules()) == 3
        assert found.stages[2][1].squeeze[0].out_channels == 4
    resumed = fit.resume(tmp_path / 'a.pt', fit.Schedule(1))
    close(trainable.answers(resumed.averaged, shown), trainable.answers(made, shown))


def test_a_part_of_something_larger_is_found_in_its_state():
    made = trainable.detector()
    state = net.Deployed(made).state_dict()

    found = net.shaped(made.config, {**state, 'adapters.0.weight': torch.zeros(1)})

    shown = trainable.pictures()
    close(trainable.answers(found, shown), trainable.answers(made, shown), atol=0)


def test_networks_that_are_not_ours_are_refused_by_name(tmp_path, shipped):
    foreign = foreign_network(tmp_path / 'foreign.onnx')
    with pytest.raises(ConfigError, match=r'foreign\.onnx: not a float network that'):
        restore.restored(foreign)
    with pytest.raises(ConfigError, match='no such file'):
        restore.restored(tmp_path / 'nothing.onnx')
    (tmp_path / 'bad.pt').write_bytes(b'no checkpoint')
    with pytest.raises(ConfigError, match=r'bad\.pt: not a checkpoint'):
        restore.restored(tmp_path / 'bad.pt')

    changed = onnx.load(str(shipped / 'model.onnx'))
    halved = next(n for n in changed.graph.node if n.op_type == 'Div')
    constant = next(t for t in changed.graph.initializer if t.name == halved.input[1])
    constant.CopyFrom(onnx.numpy_helper.from_array(np.array(128, np.float32), constant.name))
    onnx.save(changed, str(tmp_path / 'changed.onnx'))
    with pytest.raises(ConfigError, match='px apart'):
        restore.restored(tmp_path / 'changed.onnx')
