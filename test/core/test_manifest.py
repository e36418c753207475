"""A model folder is checked before anything in it is loaded."""

import contextlib
import copy
import hashlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core.types import told_apart
from edge_inference_ros.errors import DigestMismatch, EngineMissing, ManifestError

GOOD = {
    'schema': 1,
    'name': 'tiny',
    'task': 'detect2d',
    'licence': 'Apache-2.0',
    'made_by': 'a test',
    'classes': ['person', 'car'],
    'input': {'tensor': 'images', 'shape': [1, 64, 96, 3]},
    'outputs': [{'tensor': 'output0', 'shape': [1, 6, 126]}],
    'head': {'name': 'yolov8', 'score_threshold': 0.3},
    'files': [
        {'path': 'a.onnx', 'sha256': hashlib.sha256(b'net').hexdigest(), 'backends': ['ort']},
        {'path': 'b.onnx', 'sha256': '0' * 64, 'precision': 'int8'},
    ],
}


def changed(path, value):
    said = copy.deepcopy(GOOD)
    *parents, last = path
    place = said
    for key in parents:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return said


def written(folder, said):
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(said))
    (folder / 'a.onnx').write_bytes(b'net')
    return folder


def test_a_good_manifest_is_read(tmp_path):
    manifest = manifests.load(written(tmp_path, GOOD))

    assert manifest.classes == ('person', 'car')
    assert (manifest.input.height_px, manifest.input.width_px) == (64, 96)
    assert manifest.head.iou_threshold == 0.5
    assert manifest.files[0].path == tmp_path / 'a.onnx'


def test_names_that_come_twice_are_numbered_and_it_is_said(tmp_path):
    said = changed(['classes'], ['car', 'person', 'car', 'car_2', 'car', 'person'])

    manifest = manifests.load(written(tmp_path, said))

    assert manifest.classes == ('car', 'person', 'car_3', 'car_2', 'car_4', 'person_2')
    assert manifest.notes == (
        "class 2 is called 'car' like another: it goes by 'car_3'",
        "class 4 is called 'car' like another: it goes by 'car_4'",
        "class 5 is called 'person' like another: it goes by 'person_2'",
    )


@given(names=st.lists(st.sampled_from(['a', 'a_2', 'a_3', 'a_2_2', 'b']), min_size=1))
def test_however_often_names_come_each_is_one_in_the_end(names):
    found, notes = told_apart(tuple(names))

    assert len(set(found)) == len(found) == len(names)
    assert len(notes) == len(names) - len(set(names))
    assert all(new.startswith(old) for new, old in zip(found, names, strict=True))


def test_a_file_may_say_what_it_was_made_from(tmp_path):
    said = changed(['files', 1, 'provenance'], {'from': 'a.onnx', 'after': {'ap50': 0.9}})

    first, second = manifests.load(written(tmp_path, said)).files

    assert first.provenance == {}
    assert second.provenance['after'] == {'ap50': 0.9}


def test_the_file_is_chosen_by_backend_and_precision(tmp_path):
    manifest = manifests.load(written(tmp_path, GOOD))

    assert manifest.file('ort').path.name == 'a.onnx'
    assert manifest.file('trt').path.name == 'b.onnx'
    assert manifest.file('ort', 'int8').path.name == 'b.onnx'
    with pytest.raises(EngineMissing, match=r"'trt' with precision 'fp32'.*a\.onnx \(fp32, ort\)"):
        manifest.file('trt', 'fp32')


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        (['schema'], 2, 'schema = 2'),
        (['name'], KeyError, 'name: missing'),
        (['name'], 7, 'name = 7: expected str'),
        (['colour'], 'red', 'colour: unknown key'),
        (['task'], 'drive', 'expected one of detect2d, detect3d'),
        (['classes'], [], 'classes is empty'),
        (['notes'], ['mine'], 'notes: unknown key'),
        (['classes'], 'person', 'expected a list'),
        (['input'], None, 'input = None'),
        (['input', 'shape'], [1, 3, 64, 96], 'input.shape'),
        (['input', 'shape'], [1, 0, 96, 3], 'input.shape'),
        (['input', 'shape'], [1, 10**9, 96, 3], 'input.shape'),
        (['input', 'shape'], [1, True, 96, 3], 'expected int'),
        (['input', 'layout'], 'chwn', 'expected one of nhwc, nchw'),
        (['input', 'std'], [1, 0, 1], 'input.std = [1.0, 0.0, 1.0]: expected values above 0'),
        (['input', 'mean'], [1.0], 'input.mean = [1.0], std = [1.0, 1.0, 1.0]: expected 3 values'),
        (['input', 'dtype'], 'int64', "'int64': expected one of uint8, float16, float32"),
        (['input', 'sclae'], 1.0, 'input.sclae: unknown key'),
        (['outputs'], [], 'outputs = []'),
        (['outputs', 0], 'output0', 'outputs[0]'),
        (['outputs', 0, 'dtype'], 'float99', 'expected one of'),
        (['head', 'score_threshold'], 1.5, 'head.score_threshold = 1.5: expected 0 … 1'),
        (['head', 'candidates'], 0, 'head.candidates = 0: expected 1 … 30000'),
        (['head', 'score_threshold'], float('nan'), 'score_threshold'),
        (['files'], {}, 'expected a list'),
        (['files', 0, 'path'], '../../etc/passwd', 'leaves the model folder'),
        (['files', 0, 'path'], '/etc/passwd', 'leaves the model folder'),
        (['files', 0, 'sha256'], KeyError, 'files[0].sha256: missing'),
    ],
)
def test_a_fault_names_file_key_and_value(tmp_path, path, value, words):
    with pytest.raises(ManifestError) as raised:
        manifests.load(written(tmp_path, changed(path, value)))

    assert words in str(raised.value)
    assert str(tmp_path / 'manifest.yaml') in str(raised.value)


@pytest.fixture
def real(tmp_path):
    """A model folder whose files all lie in it."""
    folder = tmp_path / 'src' / 'model'
    folder.mkdir(parents=True)
    written(folder, GOOD)
    (folder / 'b.onnx').write_bytes(b'other')
    return folder


def linked(folder, targets):
    """A new folder with a link of each name to its target."""
    folder.mkdir(parents=True)
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    return folder


def test_a_workspace_of_links_file_by_file_is_a_model_folder(real, tmp_path):
    names = ('manifest.yaml', 'a.onnx', 'b.onnx')
    folder = linked(tmp_path / 'install/share/model', {name: real / name for name in names})

    manifest = manifests.load(folder)

    assert [file.path for file in manifest.files] == [folder / 'a.onnx', folder / 'b.onnx']
    manifests.verify(manifest.files[0])


def test_a_mounted_config_map_is_a_model_folder(real, tmp_path):
    mount = tmp_path / 'mount'
    mount.mkdir()
    real.rename(mount / '..2026_01_01')
    (mount / '..data').symlink_to('..2026_01_01')
    for name in ('manifest.yaml', 'a.onnx', 'b.onnx'):
        (mount / name).symlink_to(f'..data/{name}')

    manifests.verify(manifests.load(mount).files[0])


@pytest.mark.parametrize(
    'manifest_too', [False, True], ids=['manifest in git', 'all in the store']
)
def test_links_into_a_content_addressed_store_are_followed(tmp_path, manifest_too):
    folder = tmp_path / 'model'
    folder.mkdir()
    said = changed(['files', 1, 'sha256'], hashlib.sha256(b'other').hexdigest())
    written(folder, said)
    (folder / 'b.onnx').write_bytes(b'other')
    for name in ('a.onnx', 'b.onnx', *(['manifest.yaml'] if manifest_too else [])):
        content = (folder / name).read_bytes()
        key = tmp_path / '.dvc/cache' / hashlib.md5(content).hexdigest()  # noqa: S324 - as DVC does
        key.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(key)
        (folder / name).symlink_to(key)

    manifest = manifests.load(folder)

    assert [file.path.suffix for file in manifest.files] == ['.onnx', '.onnx']
    manifests.verify(manifest.files[1])


@pytest.mark.parametrize(
    'target',
    ['../elsewhere.onnx', '../missing.onnx', '/dev/zero', '/proc/kmsg', '../huge.onnx', '.'],
)
def test_a_link_that_leads_elsewhere_is_refused(real, target):
    (real.parent / 'elsewhere.onnx').write_bytes(b'secret')
    with (real.parent / 'huge.onnx').open('wb') as sparse:
        sparse.truncate(1 << 33)
    (real / 'a.onnx').unlink()
    (real / 'a.onnx').symlink_to(target if target != '.' else real.parent)

    with pytest.raises(ManifestError, match='leaves the model folder'):
        manifests.load(real)


def test_a_link_to_itself_is_a_file_that_cannot_be_read(real):
    (real / 'a.onnx').unlink()
    (real / 'a.onnx').symlink_to('a.onnx')

    with pytest.raises(EngineMissing, match=r'a\.onnx'):
        manifests.verify(manifests.load(real).files[0])


def test_a_folder_that_is_a_link_leads_nowhere_else(real):
    (real.parent / 'elsewhere').mkdir()
    (real.parent / 'elsewhere/a.onnx').write_bytes(b'net')
    (real / 'sub').symlink_to(real.parent / 'elsewhere')
    (real / 'manifest.yaml').write_text(
        yaml.safe_dump(changed(['files', 0, 'path'], 'sub/a.onnx'))
    )

    with pytest.raises(ManifestError, match='leaves the model folder'):
        manifests.load(real)


@pytest.mark.parametrize('path', ['../model/a.onnx', 'sub/../a.onnx', '{real}/a.onnx'])
def test_a_path_that_climbs_or_is_absolute_is_refused_wherever_it_ends(real, path):
    said = changed(['files', 0, 'path'], path.format(real=real))
    (real / 'manifest.yaml').write_text(yaml.safe_dump(said))

    with pytest.raises(ManifestError, match='leaves the model folder'):
        manifests.load(real)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r'manifest\.yaml: No such file'):
        manifests.load(tmp_path)


def test_only_the_promised_bytes_are_accepted(tmp_path):
    manifest = manifests.load(written(tmp_path, GOOD))
    manifests.verify(manifest.files[0])

    (tmp_path / 'a.onnx').write_bytes(b'nEt')
    with pytest.raises(DigestMismatch, match='SHA-256'):
        manifests.verify(manifest.files[0])
    with pytest.raises(EngineMissing, match=r'b\.onnx'):
        manifests.verify(manifest.files[1])


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
places = st.sampled_from(
    [[key] for key in GOOD]
    + [['input', key] for key in ('tensor', 'shape', 'dtype', 'scale', 'mean', 'std')]
    + [['head', key] for key in ('name', 'options', 'candidates', 'iou_threshold')]
    + [['files', 0], ['files', 0, 'path'], ['outputs', 0, 'shape']]
)


@settings(max_examples=300)
@given(path=places, value=json)
def test_whatever_a_manifest_says_it_is_read_or_refused(tmp_path_factory, path, value):
    folder = tmp_path_factory.mktemp('model')
    with contextlib.suppress(ManifestError):
        manifests.load(written(folder, changed(path, value)))
