"""A student learns from its teacher, and what it would have learned alone stays known."""

import pytest

torch = pytest.importorskip('torch', reason='training needs torch, which is not installed')
pytest.importorskip('onnxscript', reason='exporting needs onnxscript, which is not installed')
pytest.importorskip('pycocotools', reason='scoring needs pycocotools, which is not installed')

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.filterwarnings('ignore::FutureWarning'),
]

import json  # noqa: E402
from dataclasses import replace  # noqa: E402

import numpy as np  # noqa: E402
from support import trainable  # noqa: E402

from edge_inference_ros.core import manifest  # noqa: E402
from edge_inference_ros.core.params import build  # noqa: E402
from edge_inference_ros.errors import ConfigError, ModelError  # noqa: E402
from edge_inference_ros.train import (  # noqa: E402
    classify,
    distill,
    export,
    fit,
    net,
    restore,
    teacher,
    tuning,
)


@pytest.fixture(scope='module')
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp('distill')
    return trainable.world(folder / 'world'), trainable.model_folder(folder / 'teacher')


@pytest.fixture(autouse=True)
def small(monkeypatch):
    config = replace(trainable.SMALL, channels=(4, 8, 8, 8, 8), neck=8)
    monkeypatch.setattr(net, 'CONFIGS', {**net.CONFIGS, 'nano': config})


def params(world, **said):
    usual = {'data': str(world), 'steps': 4, 'cooldown': 2, 'whole': 4, 'batch': 2, 'warmup': 2}
    return build(distill.Params, {**usual, 'threads': 1, 'runs': 1, 'every': 2, **said})


def weights(path):
    return {k: v for k, v in fit.trained(path).state_dict().items() if v.is_floating_point()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_student_comes_nearer_to_its_teacher_than_alone(ready):
    world, folder = ready
    model = restore.restored(folder).detector
    schedule = fit.Schedule(20, batch=2, warmup=2, cooldown=5, window=(64, 64), whole=20)
    shown = trainable.pictures(4)

    def apart_after(steps, *, taught):
        student = teacher.Student(net.build(net.CONFIGS['nano']), model)
        told = teacher.Teacher(model, range(4), teacher.Weights(feature=1.0), student)
        if steps:
            hooks = fit.Hooks(extra_loss=told if taught else None)
            fit.fit(fit.start(student, schedule), trainable.joined(world), schedule, hooks)
        with torch.no_grad():
            return float(told(shown, student(shown), None))

    taught = apart_after(20, taught=True)
    assert taught < 0.9 * apart_after(0, taught=False)
    assert taught < 0.9 * apart_after(20, taught=False)


@pytest.mark.parametrize('temperature', [1.0, 3.0])
def test_soft_labels_agree_with_the_definition_and_vanish_between_equals(temperature):
    generator = torch.Generator().manual_seed(0)
    mine, theirs = torch.randn(2, 5, 4, generator=generator)
    wanted, said = (torch.softmax(x / temperature, -1) for x in (theirs, mine))
    by_hand = (wanted * (wanted / said).log()).sum(-1).mean() * temperature**2

    torch.testing.assert_close(teacher.soft_label_loss(mine, theirs, temperature), by_hand)
    for loss in (teacher.soft_label_loss, teacher.soft_score_loss):
        assert abs(float(loss(theirs, theirs, temperature))) < 1e-5
        assert float(loss(mine, theirs, temperature)) > 0.01


def test_no_weight_is_training_alone_exactly(ready, tmp_path):
    world, folder = ready
    asked = params(world, weight=0.0)

    distill.run(folder, tmp_path / 'none', asked)

    torch.set_num_threads(1)
    alone = fit.fit(
        fit.start(net.build(net.CONFIGS['nano']), tuning.schedule(asked)),
        trainable.joined(world),
        tuning.schedule(asked),
    )
    assert same(weights(tmp_path / 'none' / 'checkpoint.pt'), alone.averaged.state_dict())


def test_a_resumed_run_gives_the_bytes_of_one_that_was_not_interrupted(
    ready, tmp_path, monkeypatch
):
    world, folder = ready
    asked = params(world, feature_weight=0.5)
    whole = distill.run(folder, tmp_path / 'whole', asked)

    class Stop(Exception):
        pass

    class StopAtThree:
        def __call__(self, report):
            if report.step == 3:
                raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(tuning.train_camera, 'Progress', StopAtThree)
        with pytest.raises(Stop):
            distill.run(folder, tmp_path / 'half', asked)
    resumed = distill.run(folder, tmp_path / 'half', asked)

    assert resumed.facts['sha256'] == whole.facts['sha256']
    other = distill.run(folder, tmp_path / 'other', replace(asked, seed=1))
    assert other.facts['sha256'] != whole.facts['sha256']


def test_a_student_of_fewer_classes_has_a_folder_that_says_where_it_comes_from(ready, tmp_path):
    world, folder = ready
    asked = params(world, classes=['person'], labelled=str(world / 'held_out'), pictures=2)

    report = distill.run(folder, tmp_path / 'person', asked, made_by='a test')

    said = manifest.load(tmp_path / 'person')
    manifest.verify(said.files[0])
    assert said.classes == ('person',)
    known = said.files[0].provenance
    assert known['from']['sha256'] == manifest.digest(folder / 'model.onnx')
    assert known['params']['classes'] == ['person']
    assert len(known['data']) == 64
    assert 'torch' in known['tools']
    assert set(known['before']['accuracy']['per_class']) == {'person'}
    assert known['before']['parameters'] > known['after']['parameters']
    assert [row['network'] for row in report.rows] == ['teacher', 'student']


def test_what_cannot_be_taught_is_refused_by_name(ready, tmp_path):
    world, folder = ready
    with pytest.raises(ConfigError, match="no class \\['tree'\\]"):
        distill.run(folder, tmp_path / 'a', params(world, classes=['tree']))
    with pytest.raises(ConfigError, match='data: training needs'):
        params('')
    with pytest.raises(ConfigError, match=r'student: a \.py file'):
        params(world, task='classify')
    bare = trainable.checkpoint(tmp_path / 'bare.pt')
    with pytest.raises(ConfigError, match=r'bare\.pt has 4 classes'):
        distill.run(bare, tmp_path / 'a', params(world, classes=['person']))

    distill.run(folder, tmp_path / 'a', params(world, steps=1))
    with pytest.raises(ConfigError, match=r'holds a run with params = .*choose another folder'):
        distill.run(folder, tmp_path / 'a', params(world, steps=2))


NETWORK = """
import torch

def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, {width}, 3, 2), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear({width} * 9, 3),
    )
"""


@pytest.fixture(scope='module')
def classifiers(tmp_path_factory):
    """A teacher and a student as files, the teacher's weights, and examples of three classes."""
    folder = tmp_path_factory.mktemp('classify')
    for name, width in (('teacher', 16), ('student', 4)):
        (folder / f'{name}.py').write_text(NETWORK.format(width=width))
    rng = np.random.default_rng(0)
    kinds = rng.normal(0, 1, (3, 1, 8, 8))
    for name, count in (('train', 96), ('held_out', 48)):
        labels = rng.integers(0, 3, count)
        inputs = (kinds[labels] + rng.normal(0, 1.2, (count, 1, 8, 8))).astype(np.float32)
        np.savez(folder / f'{name}.npz', inputs=inputs, labels=labels)
    asked = classifier(folder, student=str(folder / 'teacher.py'), weight=0.0, weights='')
    distill.run(folder / 'teacher.py', folder / 'taught', asked)
    return folder


def classifier(folder, **said):
    usual = {'student': str(folder / 'student.py'), 'steps': 40, 'cooldown': 20, 'batch': 16}
    usual |= {'rate': 0.01, 'every': 15, 'weights': str(folder / 'taught' / 'student.pt')}
    return params(folder, task='classify', **{**usual, **said})


def test_a_classifier_learns_from_soft_labels(classifiers, tmp_path):
    folder = classifiers
    taught = distill.run(folder / 'teacher.py', tmp_path / 'a', classifier(folder, weight=4.0))
    alone = distill.run(folder / 'teacher.py', tmp_path / 'b', classifier(folder, weight=0.0))

    def apart(report):
        examples = classify.read(folder / 'held_out.npz').inputs
        weights = (
            folder / 'taught' / 'student.pt',
            report.out.replace('model.onnx', 'student.pt'),
        )
        names = ('teacher.py', 'student.py')
        with torch.no_grad():
            theirs, mine = (
                export.network_of(folder / n, str(w))(examples)
                for n, w in zip(names, weights, strict=True)
            )
        return float(teacher.soft_label_loss(mine, theirs, 2.0))

    assert apart(taught) < 0.75 * apart(alone)
    rows = {row['network']: row for row in taught.rows}
    assert rows['teacher']['accuracy'] > 0.8
    assert rows['student']['accuracy'] > 0.6
    assert rows['student']['parameters'] < rows['teacher']['parameters']
    known = json.loads((tmp_path / 'a' / 'model.json').read_text())
    assert known['data'] == manifest.digest(folder / 'train.npz')


def test_an_interrupted_classifier_ends_with_the_same_bytes(classifiers, tmp_path, monkeypatch):
    folder, asked = classifiers, classifier(classifiers)
    whole = distill.run(folder / 'teacher.py', tmp_path / 'whole', asked)

    class Stop(Exception):
        pass

    class StopAtTwenty:
        def __call__(self, report):
            if report.step == 20:
                raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(tuning.train_camera, 'Progress', StopAtTwenty)
        with pytest.raises(Stop):
            distill.run(folder / 'teacher.py', tmp_path / 'half', asked)
    resumed = distill.run(folder / 'teacher.py', tmp_path / 'half', asked)

    assert resumed.facts['sha256'] == whole.facts['sha256']


def test_examples_and_files_that_are_no_such_are_refused_by_name(classifiers, tmp_path):
    np.savez(tmp_path / 'bad.npz', inputs=np.zeros((3, 1)), labels=np.zeros(2, int))
    with pytest.raises(ConfigError, match=r'bad\.npz: labels is int64 \(2,\)'):
        classify.read(tmp_path / 'bad.npz')
    with pytest.raises(ConfigError, match='needs arrays inputs and labels'):
        classify.read(tmp_path / 'none.npz')
    with pytest.raises(ConfigError, match=r'a classifier comes from a \.py file'):
        distill.run(tmp_path, tmp_path / 'a', classifier(classifiers))
    other = classifier(classifiers, student=str(classifiers / 'student.py'))
    with pytest.raises(ModelError, match='do not fit'):
        distill.run(classifiers / 'student.py', tmp_path / 'a', other)
