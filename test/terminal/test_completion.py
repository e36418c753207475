"""A shell that asks is told the words that may come next."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_inference_ros import cli
from edge_inference_ros.terminal import completion

pytest.importorskip('argcomplete', reason='completes')

ROOT = Path(__file__).parents[2]


def offered(line, tmp_path, **env):
    """What a shell is told that asks about ``line``."""
    said = tmp_path / 'said'
    asked = {
        completion.ASKED: '1',
        '_ARGCOMPLETE_STDOUT_FILENAME': str(said),
        'ARGCOMPLETE_USE_TEMPFILES': '1',
        '_ARGCOMPLETE_IFS': '\n',
        '_ARGCOMPLETE_SUPPRESS_SPACE': '0',
        'COMP_LINE': line,
        'COMP_POINT': str(len(line)),
        'COMP_TYPE': '9',
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
    }
    command = [sys.executable, '-m', 'edge_inference_ros.cli']
    subprocess.run(command, env={**os.environ, **asked, **env}, check=True)  # noqa: S603
    return [word.strip() for word in said.read_text().split('\n') if word.strip()]


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('edge_inference opt', ['optimize']),
        ('edge_inference re', ['replay']),
        ('edge_inference replay pl', ['play']),
        ('edge_inference replay play --wait-', ['--wait-for', '--wait-s']),
        ('edge_inference replay BAG --pac', ['--pace']),
        ('edge_inference demo --mod', ['--model']),
        ('edge_inference demo --model street', ['street_tiny']),
        ('edge_inference demo --robot ind', ['indoor_amr']),
        ('edge_inference optimize inspect street', ['street_tiny']),
        ('edge_inference completion --shell z', ['zsh']),
        ('edge_inference demo --tracker so', ['sort']),
        ('edge_inference demo --backend openv', ['openvino']),
        ('edge_inference models add net.onnx --head yolov', ['yolov5', 'yolov8']),
        ('edge_inference models get yolox_t', ['yolox_tiny']),
    ],
)
def test_words_are_completed(line, words, tmp_path):
    assert offered(line, tmp_path) == words


def test_an_added_model_is_completed_too(tmp_path):
    (tmp_path / 'shelf' / 'mine').mkdir(parents=True)

    told = offered(
        'edge_inference demo --model m', tmp_path, EDGE_INFERENCE_MODELS=tmp_path / 'shelf'
    )

    assert told == ['mine']


def test_every_step_of_every_group_can_be_asked_about():
    for group in cli._groups():
        for step in cli.steps_of(group):
            assert cli._knowing(list(filter(None, (group, step))))


@pytest.mark.parametrize('shell', completion.SHELLS)
def test_the_script_of_each_shell_names_the_command(shell, capsys):
    assert cli.main(['completion', '--shell', shell]) == 0

    assert 'edge_inference' in capsys.readouterr().out


def test_bash_takes_the_script():
    script = completion.script('edge_inference', 'bash')

    run = subprocess.run(  # noqa: S603
        ['/bin/bash', '-c', f'{script}\ncomplete -p edge_inference'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert '_python_argcomplete' in run.stdout
