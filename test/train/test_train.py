"""Training makes a detector that can be shipped, and can be stopped and resumed."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from edge_inference_ros.catalog.shelf import CheckParams, check_model
from edge_inference_ros.errors import BackendUnavailable, ConfigError
from edge_inference_ros.sim.dataset import FOREIGN, HELD_OUT, TRAIN, Split, write_split
from edge_inference_ros.train import average as train_average
from edge_inference_ros.train import camera as train_camera
from edge_inference_ros.train import export

torch = pytest.importorskip('torch', reason='training needs torch, which is not installed')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript, which is not installed')
pytest.importorskip('pycocotools', reason='scoring needs pycocotools, which is not installed')

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.filterwarnings('ignore::FutureWarning'),
]

from edge_inference_ros.core import manifest  # noqa: E402
from edge_inference_ros.train import data, deploy, fit, net, score, targets  # noqa: E402

CLASSES = ('person', 'vehicle', 'cone', 'box')
SMALL = net.NetConfig((4, 8, 8, 8, 8), (1, 1, 1, 1), 8, width=96, height=64)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('world')
    for name, count in ((TRAIN, 6), (HELD_OUT, 3), (FOREIGN, 2)):
        write_split(folder / name, Split(name, count, width=96, height=64))
    return folder


def joined(world):
    return data.Joined([data.Split(world / TRAIN)])


def schedule(steps):
    return fit.Schedule(steps, batch=2, warmup=2, cooldown=2, window=(64, 64), whole=3)


def weights(state):
    return torch.cat([p.detach().flatten() for p in state.averaged.parameters()])


def test_a_resumed_run_has_the_weights_of_one_that_was_not_interrupted(world, tmp_path):
    path = tmp_path / 'checkpoint.pt'
    whole = fit.fit(fit.start(net.build(SMALL), schedule(6)), joined(world), schedule(6))

    class Stop(Exception):
        pass

    def stop_at_four(report):
        if report.step == 4:
            raise Stop

    hooks = fit.Hooks(checkpoint=path, every=3, on_step=stop_at_four)
    with pytest.raises(Stop):
        fit.fit(fit.start(net.build(SMALL), schedule(6)), joined(world), schedule(6), hooks)
    half = fit.resume(path, schedule(6))
    assert half.step == 3
    resumed = fit.fit(half, joined(world), schedule(6))

    assert torch.equal(weights(whole), weights(resumed))


def test_another_seed_gives_other_weights(world):
    runs = [
        fit.fit(fit.start(net.build(SMALL, seed=s), schedule(1)), joined(world), schedule(1))
        for s in (0, 1)
    ]

    assert not torch.equal(weights(runs[0]), weights(runs[1]))


def test_a_further_loss_term_reaches_the_weights(world):
    seen = []

    def extra(pictures, levels, labels):
        seen.append((pictures.shape, labels.real.shape[0]))
        return sum(logits.square().mean() for logits, _ in levels)

    plain = fit.fit(fit.start(net.build(SMALL), schedule(1)), joined(world), schedule(1))
    reports = []
    hooks = fit.Hooks(extra_loss=extra, on_step=reports.append)
    other = fit.fit(fit.start(net.build(SMALL), schedule(1)), joined(world), schedule(1), hooks)

    assert seen == [((2, 3, 64, 96), 2)]
    assert reports[0].extra > 0
    assert not torch.equal(weights(plain), weights(other))


def test_a_batch_depends_on_its_step_and_seed_alone(world):
    first, again, other = (data.batch_of(joined(world), step, 2, 5) for step in (1, 1, 2))

    np.testing.assert_array_equal(first[0], again[0])
    assert torch.equal(first[1].boxes_px, again[1].boxes_px)
    assert (first[0] != other[0]).any()


def test_labels_follow_a_moved_picture():
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[20:40, 30:60] = 255
    known = data.Known(
        np.array([1], np.int32), np.array([[30, 20, 60, 40]], np.float32),
        np.array([False]), np.array([5.0], np.float32),
    )  # fmt: skip
    whole = 0
    for seed in range(20):
        moved, labels = data.moved(picture, known, np.random.default_rng(seed), size=(80, 56))
        rows, columns = np.nonzero(moved[..., 0] > 180)
        if len(labels.class_id) and len(rows):
            wanted = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose(labels.boxes_px[0], wanted, atol=2)
            whole += 1
    assert whole > 15


def test_every_label_is_answered_for_and_padding_is_not():
    labels = targets.Labels(
        torch.tensor([[0, 2, 0]]),
        torch.tensor([[[10.0, 10, 40, 60], [50, 20, 56, 27], [0, 0, 0, 0]]]),
        torch.tensor([[True, True, False]]),
        torch.zeros(1, 0, 4),
    )
    levels = net.build(SMALL).eval()(torch.rand(1, 3, 64, 96))
    logits, raw = net.flat(levels)
    points, strides = net.cells(levels)
    boxes = net.corners(raw, points, strides)

    wanted, wanted_boxes, answers = targets.assign(logits.sigmoid(), boxes, points, labels)

    classes = wanted[0][answers[0]].argmax(-1)
    assert set(classes.tolist()) == {0, 2}
    assert (wanted[0][~answers[0]] == 0).all()
    person = answers[0] & (wanted[0, :, 0] > 0)
    assert (wanted_boxes[0][person] == labels.boxes_px[0, 0]).all()


def test_ignored_regions_are_not_asked_for():
    levels = net.build(SMALL).eval()(torch.rand(1, 3, 64, 96))
    none = torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.bool)

    def loss(ignored):
        labels = targets.Labels(torch.zeros(1, 1, dtype=torch.int64), *none, ignored)
        return float(targets.detection_loss(levels, labels).score)

    assert loss(torch.tensor([[[0.0, 0, 96, 64]]])) == 0
    assert loss(torch.zeros(1, 0, 4)) > 0


def test_perfect_detections_score_one_and_none_score_zero(world):
    split = data.Split(world / HELD_OUT)

    def said(known):
        asked = ~known.ignored
        ones = np.ones(int(asked.sum()), np.float32)
        return score.Found(known.boxes_px[asked], ones, known.class_id[asked].astype(np.int64))

    empty = score.Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    perfect = score.accuracy([said(split.known(i)) for i in range(3)], split)
    nothing = score.accuracy([empty] * 3, split)

    assert perfect.ap50 == perfect.ap50_95 == pytest.approx(1)
    assert nothing.ap50 == 0
    assert perfect.near_people.recall in (0, 1)
    assert perfect.near_people.false_per_picture == 0


def test_near_people_counts_the_found_and_the_false():
    known = data.Known(
        np.array([0, 0, 0], np.int32),
        np.array([[0, 0, 10, 20], [30, 0, 40, 20], [60, 0, 70, 20]], np.float32),
        np.array([False, False, True]),
        np.array([2.0, 20.0, 3.0], np.float32),
    )
    boxes = np.array(
        [[0, 0, 10, 20], [60, 0, 70, 20], [80, 0, 90, 20], [30, 0, 40, 20]], np.float32
    )
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)
    found = score.Found(boxes, scores, np.zeros(4, int))

    class One:
        classes = ('person',)

        def known(self, index):
            return known

    near = score.near_people([found], One(), score_threshold=0.5)

    assert (near.recall, near.people, near.false_per_picture) == (1.0, 1, 1.0)


def test_suppression_keeps_the_best_of_each_class():
    output = np.zeros((6, 3), np.float32)
    output[:4] = np.array([[50, 50, 20, 20], [51, 50, 20, 20], [50, 50, 20, 20]]).T
    output[4] = 0.5, 0.9, 0.0
    output[5] = 0.0, 0.0, 0.7

    kept = score.keep(output)

    assert kept.scores.tolist() == pytest.approx([0.9, 0.7])
    assert kept.class_id.tolist() == [0, 1]


def test_a_run_leaves_a_model_folder_that_checks_out(world, tmp_path, caplog):
    caplog.set_level(logging.INFO, train_camera.__name__)
    params = train_camera.Params('t', 'nano', steps=2, batch=2, every=1, threads=1)
    out = tmp_path / 't'

    facts = train_camera.run(world, out, params, made_by='a test')

    said = manifest.load(out)
    manifest.verify(said.files[0])
    assert said.classes == ('person', 'vehicle', 'cone', 'box')
    assert said.accuracy['held_out'] == facts['held_out']
    assert not [r for r in caplog.records if r.levelno > logging.INFO]
    assert set(facts) >= {'held_out', 'foreign', 'seed'}
    picture = np.zeros((1, said.input.height_px, said.input.width_px, 3), np.uint8)
    assert deploy.onnx_predict(said.files[0].path)(picture).shape == said.outputs[0].shape


@pytest.fixture
def run(tmp_path):
    """Make the folder of an ended run."""

    def made(seed, config=SMALL, classes=CLASSES):
        folder = tmp_path / f'run{seed}'
        detector = net.build(config, seed=seed)
        fit.save(fit.start(detector, schedule(1)), folder / 'checkpoint.pt')
        deploy.write_folder(detector.eval(), folder, deploy.Card('small', classes, 'a test'))
        return folder

    return made


def test_an_average_of_runs_is_their_mean_and_leaves_a_folder_that_checks_out(
    world, run, tmp_path
):
    out, runs = tmp_path / 'out', [run(seed) for seed in (1, 2, 6)]

    facts = train_average.run(
        world, out, train_average.Params(tuple(map(str, runs)), 'small', threads=1)
    )

    check_model(CheckParams(str(out)))
    assert manifest.load(out).accuracy['held_out'] == facts['held_out']
    detectors = [fit.trained(folder / 'checkpoint.pt') for folder in runs]
    picture = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), np.uint8)
    mean = net.build(SMALL)
    mean.load_state_dict(
        {
            name: torch.stack([d.state_dict()[name].double() for d in detectors]).mean(0)
            for name in mean.state_dict()
        }
    )
    np.testing.assert_allclose(
        deploy.onnx_predict(out / 'model.onnx')(picture),
        deploy.torch_predict(mean.eval())(picture),
        atol=1e-2,
    )


def test_what_does_not_belong_together_is_not_averaged(world, run, tmp_path):
    other = replace(SMALL, neck=16)
    strangers = {
        'nothing to average': [run(1)],
        'run3.*another network than .*run1': [run(1), run(2), run(3, other)],
        'run4.*another network': [run(1), run(4, classes=CLASSES[::-1])],
        'checkpoint.pt: no such file': [run(1), tmp_path],
    }

    for words, runs in strangers.items():
        params = train_average.Params(tuple(map(str, runs)))
        with pytest.raises(ConfigError, match=words):
            train_average.run(world, tmp_path / 'out', params)
    assert not (tmp_path / 'out').exists()


def test_a_checkpoint_is_exported_into_a_folder_like_another(world, tmp_path):
    params = train_camera.Params('t', 'nano', steps=2, batch=2, every=1, threads=1)
    train_camera.run(world, tmp_path / 't', params, made_by='a test')

    report = export.run(
        tmp_path / 't' / 'checkpoint.pt', tmp_path / 'made',
        export.Params(like=str(tmp_path / 't')),
    )  # fmt: skip

    made, like = manifest.load(tmp_path / 'made'), manifest.load(tmp_path / 't')
    assert report.out == str(tmp_path / 'made')
    assert (made.head, made.input, made.outputs) == (like.head, like.input, like.outputs)
    assert like.accuracy
    assert not made.accuracy
    check_model(CheckParams(str(tmp_path / 'made')))


def test_training_for_one_class_forgets_the_others(world):
    only = data.Split(world / TRAIN, only=['person'])
    whole = data.Split(world / TRAIN)

    for i in range(len(whole)):
        people = whole.known(i).class_id == 0
        np.testing.assert_array_equal(only.known(i).boxes_px, whole.known(i).boxes_px[people])
        assert not only.known(i).class_id.any()


def test_the_deployed_graph_says_what_the_network_says():
    torch.manual_seed(1)
    detector = net.build(SMALL).eval()
    picture = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)
    levels = detector(picture.permute(0, 3, 1, 2).float() / 255)
    logits, raw = net.flat(levels)
    corners = net.corners(raw, *net.cells(levels))

    output = net.Deployed(deploy.fused(detector))(picture)

    centre, size = output[:, :2], output[:, 2:4]
    boxes = torch.cat((centre - size / 2, centre + size / 2), 1).transpose(1, 2)
    torch.testing.assert_close(boxes, corners, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(output[:, 4:].transpose(1, 2), logits.sigmoid())


def test_what_is_not_a_split_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match='not a labelled split'):
        data.Split(tmp_path)
    with pytest.raises(ConfigError, match=r'train\*'):
        train_camera.run(tmp_path, tmp_path / 'out', train_camera.Params())


def test_a_device_that_is_not_there_is_refused(world, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('this machine has a CUDA device')

    with pytest.raises(BackendUnavailable, match='CUDA'):
        train_camera.run(world, tmp_path, train_camera.Params(device='cuda'))
