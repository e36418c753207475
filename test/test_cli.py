"""One line of error, no traceback, and flags that are the parameters."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support import bags
from support.models import scripted_model

from edge_inference_ros import cli
from edge_inference_ros.core import registry
from edge_inference_ros.core.params import param
from edge_inference_ros.core.report import Report
from edge_inference_ros.errors import ConfigError

ALL = [
    (group, step) for group in (*cli.STEPS, 'train', 'optimize') for step in cli.steps_of(group)
]


def said(capsys, *arguments):
    status = cli.main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize(('group', 'step'), ALL, ids=' '.join)
def test_every_step_has_help_and_a_sentence_about_itself(capsys, group, step):
    try:
        status = cli.main([group, *filter(None, [step]), '--help'])
    except SystemExit as ended:
        status = ended.code

    assert status == 0
    assert len(capsys.readouterr().out.splitlines()) > 5
    assert len(cli._doc(cli.steps_of(group)[step])) > 10


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['replya'], "no group called 'replya'; did you mean replay?"),
        (['replay', 'paly'], "no step of replay called 'paly'; did you mean play?"),
        (['optimize', 'shrink'], "no step of optimize called 'shrink'"),
        (['replay', 'play', '--bag', '/nowhere'], 'BagError: /nowhere: no such file or folder'),
        (
            ['replay', 'play', '--bag', 'x', '--rate', '1000'],
            'ParameterError: rate = 1000.0: expected 0.01 … 100',
        ),
        (['replay', 'play', '--bag', 'x', '--rate', 'nan'], 'rate = nan: expected a finite'),
        (['replay', 'play', '--bag', ''], 'needs --bag'),
        (['replay', 'record', '--out', '/x', '--topics'], 'name the topics'),
        (['models', 'check', '--model', '/nowhere/at_all'], '/nowhere/at_all'),
        (['demo', '--images', '/nowhere/at_all'], '/nowhere/at_all'),
    ],
)
def test_bad_input_is_one_line_and_status_two(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)

    status, _, err = said(capsys, *arguments)

    assert status == cli.BAD_INPUT
    assert words in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ('step', 'needed'),
    [('play', '--bag STR'), ('record', '--out STR --topics [STR ...]'), ('report', '--bag STR')],
)
def test_what_must_be_given_is_not_shown_as_optional(step, needed, capsys):
    with pytest.raises(SystemExit, match='2'):
        cli.main(['replay', step])

    err = capsys.readouterr().err
    assert f'[-h] {needed}' in ' '.join(err.split())
    assert 'the following arguments are required: ' + needed.split()[0] in err


@pytest.mark.parametrize('arguments', [[], ['--help'], ['replay'], ['models', '--help']])
def test_help_lists_what_there_is(capsys, arguments):
    status, out, _ = said(capsys, *arguments)

    assert status == (0 if '--help' in arguments else cli.BAD_INPUT)
    assert 'list' in out or 'play' in out


def test_overall_help_imports_no_heavy_library():
    program = (
        'import sys; from edge_inference_ros import cli; cli.main(["--help"]);'
        'print([m for m in ("numpy", "cv2", "rosbags", "torch", "rclpy", "matplotlib")'
        ' if m in sys.modules])'
    )

    out = subprocess.run(  # noqa: S603
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    ).stdout

    assert out.splitlines()[-1] == '[]'


@dataclass(frozen=True)
class Params:
    """Every kind there is."""

    bits: int = param(8, 'width', low=2, high=16)
    ratio: float = param(0.5, 'a part', low=0.0, high=1.0)
    kind: str = param('minmax', 'how', choices=('minmax', 'entropy'))
    layers: tuple[str, ...] = param((), 'which')
    sizes: tuple[float, ...] = param((1.0, 2.0), 'how large')
    per_channel: bool = param(default=True, doc='one scale a channel')


@pytest.fixture
def squeeze(monkeypatch):
    """An optimise step as somebody would drop it into the folder."""
    calls = []
    module = ModuleType('squeeze')
    module.Params = Params

    def run(model: Path, out: Path, params: Params) -> Report:
        calls.append((model, out, params))
        return Report('squeeze', str(model), str(out), facts={'kbytes': 3})

    module.run = run
    monkeypatch.setattr(registry, 'names', lambda kind: ['squeeze', 'train_camera'])
    monkeypatch.setattr(registry, 'load', lambda kind, name: module)
    return calls


def test_an_optimise_step_is_found_by_its_file_and_gets_its_flags(capsys, squeeze):
    status, out, _ = said(
        capsys, 'optimize', 'squeeze', 'a.onnx', '--out', 'b.onnx', '--bits', '4',
        '--kind', 'entropy', '--layers', 'x', 'y', '--sizes', '3', '--no-per-channel',
    )  # fmt: skip

    assert status == 0
    ((model, target, params),) = squeeze
    assert (model, target) == (Path('a.onnx'), Path('b.onnx'))
    assert params == Params(4, 0.5, 'entropy', ('x', 'y'), (3.0,), per_channel=False)
    assert 'squeeze: a.onnx -> b.onnx' in out


def test_a_report_is_json_when_asked_for(capsys, squeeze):
    _, out, _ = said(capsys, 'optimize', 'squeeze', 'a/b', '--out', 'c', '--json')

    assert json.loads(out)['facts'] == {'kbytes': 3}


def test_training_is_a_group_of_its_own(squeeze):
    assert list(cli.steps_of('train')) == ['camera']
    assert list(cli.steps_of('optimize')) == ['squeeze']


def test_a_range_and_a_default_are_in_the_help(capsys, squeeze):
    with pytest.raises(SystemExit):
        cli.main(['optimize', 'squeeze', '--help'])

    out = capsys.readouterr().out
    assert 'width (2 … 16) [8]' in out
    assert '{minmax,entropy}' in out


def test_a_missing_library_is_named_not_traced(capsys, squeeze, monkeypatch):
    def fail(kind, name):
        raise ModuleNotFoundError("No module named 'torch'", name='torch')

    monkeypatch.setattr(registry, 'load', fail)

    status, _, err = said(capsys, 'optimize', 'squeeze', 'a/b', '--out', 'c')

    assert status == cli.BAD_INPUT
    assert 'needs torch' in err


def test_a_drive_is_not_written_over_something(capsys, tmp_path):
    status, _, err = said(capsys, 'sim', 'drive', '--out', str(tmp_path))

    assert status == cli.BAD_INPUT
    assert 'exists' in err


def test_the_pipeline_runs_from_the_command_line(capsys, tmp_path):
    bag = bags.pictures(tmp_path / 'bag', 6)
    model = scripted_model(tmp_path / 'model')

    status, out, _ = said(
        capsys, 'replay', 'pipeline', '--bag', str(bag), '--model', str(model),
        '--backend', 'null', '--tracker', 'none', '--json',
    )  # fmt: skip

    assert status == 0
    assert json.loads(out)['frames']['adds_up'] is True


def test_interruption_has_its_own_status(capsys, squeeze, monkeypatch):
    def interrupted(kind, name):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, 'load', interrupted)

    assert cli.main(['optimize', 'squeeze', 'a/b', '--out', 'c']) == cli.INTERRUPTED


def test_our_own_errors_are_config_errors_where_a_name_is_wrong():
    with pytest.raises(ConfigError):
        cli._dispatch(['nothing'])


def test_the_labelled_set_is_rendered_by_a_command(capsys, tmp_path):
    options = ('--out', str(tmp_path), '--share', '0.0001', '--processes', '1', '--json')

    status, out, _ = said(capsys, 'sim', 'dataset', *options)

    assert status == 0
    for split in json.loads(out)['splits']:
        assert len(np.load(tmp_path / split / 'images.npy'))


def test_a_failed_step_that_trains_nothing_leaves_nothing_whatever_its_room(capsys, tmp_path):
    model = tmp_path / 'model.pt'
    model.write_bytes(b'no checkpoint')
    like = Path(__file__).parents[1] / 'models' / 'street_tiny'

    status, _, err = said(
        capsys, 'optimize', 'export', str(model), '--out', str(tmp_path / 'new'),
        '--like', str(like),
    )  # fmt: skip

    assert status == cli.BAD_INPUT
    assert err
    assert not (tmp_path / 'new').exists()


def test_a_shipped_model_is_known_to_every_step_by_its_name(capsys, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime', reason='loads the network')
    monkeypatch.chdir(tmp_path)

    assert cli.main(['optimize', 'inspect', 'street_tiny', '--runs', '1']) == 0
    assert cli.main(['optimize', 'inspect', 'street_tinny']) == cli.BAD_INPUT

    assert 'there are person_nano, street_tiny' in capsys.readouterr().err


def test_what_is_in_the_folder_one_stands_in_goes_before_a_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'street_tiny').mkdir()

    assert cli._model('street_tiny') == Path('street_tiny')
    assert cli._model('street_tiny.onnx') == Path('street_tiny.onnx')


def test_a_path_is_never_taken_for_the_name_of_a_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert cli._model('./street_tiny') == Path('street_tiny')


def test_a_file_that_cannot_be_written_is_a_sentence(capsys, tmp_path):
    (tmp_path / 'file').touch()

    assert cli.main(['sim', 'drive', '--out', str(tmp_path / 'file' / 'bag')]) == cli.BAD_INPUT

    assert capsys.readouterr().err == f'edge_inference: {tmp_path}/file: File exists\n'


def test_the_version_is_that_of_the_package(capsys):
    status, out, _ = said(capsys, '--version')

    manifest = (Path(cli.__file__).parents[1] / 'package.xml').read_text()
    assert status == 0
    assert f'<version>{out.split()[1]}</version>' in manifest


@pytest.mark.parametrize('words', [['help'], ['help', 'models'], ['help', 'replay', 'play']])
def test_help_may_be_asked_for_as_a_word(capsys, words):
    try:
        status = cli.main(words)
    except SystemExit as ended:
        status = ended.code

    assert status == 0
    assert 'usage: edge_inference' in capsys.readouterr().out


@pytest.mark.parametrize(('group', 'step'), ALL, ids=' '.join)
def test_json_is_offered_only_where_it_is_answered(group, step):
    chosen = cli.steps_of(group)[step]
    function, schema = cli._load(chosen)
    offered = '--json' in cli.parser_of(group, chosen).format_help()

    own = 'json' in {spec[0] for spec in cli.specs(schema)}
    assert offered == (own or function.__annotations__['return'] not in ('int', 'None'))


def test_a_terminal_without_our_signs_shows_others():
    done = subprocess.run(
        [sys.executable, '-m', 'edge_inference_ros.cli', 'demo', '--help'],
        capture_output=True, check=False, timeout=60,
        env={**os.environ, 'PYTHONIOENCODING': 'ascii'},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert b'...' in done.stdout  # of …
    assert b'?' not in done.stdout


def test_whoever_reads_no_further_sees_no_error():
    listing = [sys.executable, '-m', 'edge_inference_ros.cli', 'models', 'list']
    with subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
        process.stdout.close()
        said = process.stderr.read()

    assert process.returncode == 141
    assert said == b''
