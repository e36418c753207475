"""What the documentation says can be typed, read and followed is there."""

import re
import shlex
from pathlib import Path

import pytest

from edge_inference_ros import cli
from edge_inference_ros.core.params import table
from edge_inference_ros.nodes.camera_params import CameraDetectorParams
from edge_inference_ros.nodes.watchdog_params import WatchdogParams

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('models/*.md')])
TEXT = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
EVERYTHING = '\n'.join(TEXT.values())


def found(pattern):
    return sorted(set(re.findall(pattern, EVERYTHING)))


@pytest.mark.parametrize('schema', [CameraDetectorParams, WatchdogParams])
def test_every_parameter_has_its_row(schema):
    rows = (TEXT['docs/parameters.md'] + TEXT['docs/safety.md']).splitlines()

    for row in table(schema).splitlines()[2:]:
        assert row in rows


@pytest.mark.parametrize('page', sorted(TEXT))
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)#\s]+)', TEXT[page]):
        if '://' not in link:
            assert (ROOT / page).parent.joinpath(link).exists(), link


@pytest.mark.parametrize('target', found(r'\bmake ((?!sure|a\b|the\b|it\b)[a-z-]+)'))
def test_a_make_target_is_there(target):
    assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    'module', found(r'python3? -m ((?:bench|tools|edge_inference_ros)[\w.]*)')
)
def test_a_module_that_is_run_is_there(module):
    path = ROOT.joinpath(*module.rstrip('.').split('.'))

    assert path.with_suffix('.py').is_file() or (path / '__main__.py').is_file()


@pytest.mark.parametrize('command', found(r'edge_inference ((?:[a-z_]+ )+--[^`\n#|]*)'))
def test_a_command_takes_the_flags_it_is_shown_with(command):
    group, *rest = shlex.split(command.rstrip('\\ .'))
    steps = cli.steps_of(group)
    step = steps[''] if '' in steps else steps[rest.pop(0)]
    known = cli.parser_of('', step).format_help()

    for word in rest:
        if word.startswith('--'):
            assert word in known or word == '--help'
