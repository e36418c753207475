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
    step = steps[rest.pop(0)] if rest[0] in steps else steps['']
    known = cli.parser_of('', step).format_help()

    for word in rest:
        if word.startswith('--'):
            assert word in known or word == '--help'


def test_every_value_of_a_latency_message_is_explained():
    from edge_inference_ros.core.lane import Tally
    from edge_inference_ros.core.latency import Timing
    from edge_inference_ros.core.types import MonoNs, Origin, RosNs

    messages = pytest.importorskip('edge_inference_ros.ros.messages', reason='needs ROS 2')
    stages = ('wait', 'view', 'prepare', 'infer', 'decode', 'track', 'publish')
    timing = Timing(tuple((stage, 0) for stage in stages))
    values = messages.latency_values(Origin('', RosNs(1), MonoNs(0)), timing, Tally())

    for key in (*values, 'model', 'digest', 'backend'):
        assert f'`{key}`' in TEXT['docs/consumers.md']


def test_every_value_of_the_heartbeat_is_explained():
    from edge_inference_ros.guard.freshness import Guard
    from edge_inference_ros.guard.robot import RobotProfile
    from edge_inference_ros.guard.timeline import Instant
    from edge_inference_ros.guard.verdict import Source, Verdict

    heartbeat = pytest.importorskip('edge_inference_ros.nodes.watchdog_rows', reason='needs ROS 2')
    guard, now = Guard(RobotProfile(), [Source('camera')]), Instant(2 * 10**9, 10**9)
    guard.judge('camera', now.ros_ns - 10**6, 'front', now)
    status = guard.tick(now)

    explained = {*re.findall(r'`(\w+)`', TEXT['docs/consumers.md']), *(v.value for v in Verdict)}
    source = heartbeat.source_row(status.sources[0], sim_time=False)
    for row in (heartbeat.summary_row(status), source):
        assert set(row[-1]) <= explained


@pytest.mark.parametrize('room', ['core', 'guard', 'ros', 'catalog', 'backends'])
def test_the_map_has_one_line_for_every_module(room):
    there = {
        f'{room}/{path.name}'
        for path in (ROOT / 'edge_inference_ros' / room).glob('*.py')
        if path.stem != '__init__'
    }
    lines = re.findall(
        rf'^\| `({room}/\w+\.py)` \| \S', TEXT['docs/architecture.md'], re.MULTILINE
    )

    assert sorted(lines) == sorted(there)


@pytest.mark.parametrize('page', ['docs/extending.md', 'CONTRIBUTING.md', 'docs/architecture.md'])
def test_a_file_that_a_page_sends_one_to_is_there(page):
    named = re.findall(r'`((?:\w+/)+\w+\.\w+)`', TEXT[page])
    missing = [
        path
        for path in set(named)
        if not any((root / path).exists() for root in (ROOT, ROOT / 'edge_inference_ros'))
    ]

    assert not missing
