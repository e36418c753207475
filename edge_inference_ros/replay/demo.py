"""Drives through a scene with the real nodes, and shows where every millisecond went."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_inference_ros.core import manifest as manifests
from edge_inference_ros.core import registry
from edge_inference_ros.core.params import param
from edge_inference_ros.core.share import locate
from edge_inference_ros.errors import BagError, ConfigError, EdgeInferenceError
from edge_inference_ros.guard.deadline import deadline
from edge_inference_ros.guard.profiles import read_robot
from edge_inference_ros.replay import plot, report
from edge_inference_ros.replay.graph import Child, Processes, complaint, environment
from edge_inference_ros.replay.scene import photos
from edge_inference_ros.replay.scene.scene import CAMERA, Scene, album, drive
from edge_inference_ros.replay.summary import RunReport
from edge_inference_ros.terminal.stages import Stages, Tell

ODOM = '/odom'
RECORDED = (
    'latency', 'detections', 'freshness', 'fresh/detections', 'label_info', 'speed_limit',
    '/odom', '/diagnostics',
)  # fmt: skip
ESSENTIAL = ('latency', 'detections', 'freshness')
_START_S, _LAST_WORDS_S = 60.0, 1.3
_QUICK_S, _WHOLE_S, _LEAST_S = 6.0, 32.0, 2.0
_BURN = 'while True: pass'
PLAYED = 'played.json'
_EMBEDDED = 'ort'


@dataclass(frozen=True)
class Params:
    """What to drive, and through which detector."""

    speed: float = param(1.5, 'the most the robot drives, m/s; more makes deadlines shorter',
                         low=0.0, high=20.0)  # fmt: skip
    load: int = param(0, 'processes that only burn CPU beside the nodes', low=0, high=64)
    images: str = param('', 'a picture or a folder of them (jpg, png) instead of the drive')
    seconds: float = param(
        0.0, 'length of the drive; 0 takes 32, with --quick 6', low=0.0, high=3600.0
    )
    rate_hz: float = param(10.0, 'frames of the camera a second', low=0.5, high=60.0)
    seed: int = param(
        0, 'seed of the street and its people: the same seed renders the same', low=0
    )
    quick: bool = param(default=False, doc='drive for six seconds, too short for p99')
    model: str = param(
        'street_tiny',
        'a shipped model, one you have added or fetched, or the path of a model folder',
    )
    backend: str = param('ort', 'runtime: ort, openvino, trt, null, or a plug-in')
    precision: str = param(
        '', 'precision of the model file: fp32, fp16, int8, …; empty takes the first that suits'
    )
    tracker: str = param('sort', 'tracker: none, sort, or a plug-in')
    robot: str = param('indoor_amr', 'profile in config/robots, or the path of a YAML file')
    view: str = param(
        '', 'watch while it drives: web serves a page on this machine; or a file to write (.rrd)'
    )
    pictures: int = param(12, 'overlay pictures to draw', low=0, high=1000)
    out: str = param('', 'folder for everything; empty makes a new one below demo_out')

    @property
    def length_s(self) -> float:
        """Seconds to play."""
        return self.seconds or (_QUICK_S if self.quick else _WHOLE_S)


def run(params: Params) -> int:
    """Make the scene, play it through the nodes, report.

    Raises:
        ConfigError: a name or path that is not there.
        ChildEnded: a node ended before its time; the message has its last words.
    """
    _check(params)
    out = _folder(params.out)
    say(BANNER.format(out=out))
    try:
        return _run(params, out)
    except KeyboardInterrupt:
        say(f'\n  stopped; what there is so far is in {out}')
        raise
    except EdgeInferenceError:
        _tidy(out)
        raise


def _tidy(out: Path) -> None:
    """Of a run that failed before the drive was over only the logs stay: it can be tried again."""
    if (out / PLAYED).exists():
        return
    for name in ('recording', 'pictures'):
        shutil.rmtree(out / name, ignore_errors=True)
    with contextlib.suppress(OSError):  # there are logs in it
        out.rmdir()


def _run(params: Params, out: Path) -> int:
    with Stages() as stages:
        asked = {
            'seconds': params.length_s,
            'speed_mps': params.speed,
            'rate_hz': params.rate_hz,
        }
        if params.images:
            scene = album(Path(params.images), out, model=params.model, **asked)
        else:
            scene = drive(out, stages, seed=params.seed, **asked)
        say(f'  scene      {scene.title}')
        for line in _setting(params):
            say(line)
        for note in scene.notes:
            say(f'  note       {note}')
        _play(params, scene, out, stages)
    to_report = report.Params(
        bag=str(out / 'recording'),
        played=str(out / PLAYED),
        source=str(scene.bag),
        topic=CAMERA,
        out=str(out),
        pictures=params.pictures,
        first=scene.first,
        about=(scene.title, *_setting(params), *(f'note {note}' for note in scene.notes)),
    )
    try:
        answer = report.make(to_report)
    except BagError as error:
        raise ConfigError(f'{error}; {complaint(out / "log" / "camera_detector.log")}') from error
    say('\n' + answer.as_table())
    _where(answer, out)
    return answer.exit_code or int(not (answer.frames.adds_up and answer.frames.detected))


BANNER = """
  edge_inference_ros: camera in, latency-stamped detections out,
  and nothing acts on one that is older than speed allows

  folder     {out}"""


def _check(params: Params) -> None:
    """Find wrong names before a minute is spent on rendering."""
    for node in ('camera_detector', 'watchdog'):
        if find_spec(f'edge_inference_ros.nodes.{node}') is None:
            raise ConfigError(f'this installation has no node {node}')
    if find_spec('rclpy') is None:
        raise ConfigError('needs ROS 2: source one, or run `make env` and use its Python')
    registry.load('trackers', params.tracker)
    if 0.0 < params.seconds < _LEAST_S:
        raise ConfigError(f'--seconds {params.seconds:g}: a drive takes at least {_LEAST_S:g} s')
    _check_model(params)
    read_robot(params.robot)
    if params.images:
        photos.find(Path(params.images))
    if params.view:
        _check_view(params.view)


def _check_model(params: Params) -> None:
    """Ask the runtime itself whether it can, unless it is the one that everybody has."""
    backend = registry.load('backends', params.backend)
    manifest = manifests.load(locate('models', params.model))
    file = manifest.file(params.backend, params.precision)
    if params.backend != _EMBEDDED:
        backend.open(manifest, file.path).close()


def _check_view(how: str) -> None:
    if how != 'web' and not how.endswith('.rrd'):
        raise ConfigError(f'--view {how}: expected web, or a file that ends in .rrd')
    if how != 'web' and Path(how).exists():
        raise ConfigError(f'--view {how}: it is there already; choose another name')
    if find_spec('rerun') is None:
        raise ConfigError('--view needs Rerun: pip install rerun-sdk (Python 3.11 or newer)')


def _robot(params: Params) -> Path:
    name = params.robot
    whole = name.endswith('.yaml') or os.sep in name
    return locate('config/robots', name if whole else f'{name}.yaml')


def _setting(params: Params) -> Iterator[str]:
    yield f'  detector   {params.model} on {params.backend}, tracker {params.tracker}'
    yield f'  robot      {params.robot}, at most {params.speed:g} m/s: {_allowance(params)}'
    cores = len(os.sched_getaffinity(0))
    load = f'{params.load} processes burn CPU beside the nodes' if params.load else 'none added'
    yield f'  machine    {cores} cores; load: {load}'


def _allowance(params: Params) -> str:
    """How old a prediction may be at the greatest speed of this drive."""
    allowed = deadline(read_robot(params.robot), params.speed, 0.0)
    if not allowed.feasible:
        return 'there it cannot stop within its sight, and every prediction is refused'
    return f'there a prediction may be {allowed.limit_s * 1e3:.0f} ms old'


def _folder(name: str) -> Path:
    out = Path(name) if name else Path('demo_out') / time.strftime('%Y-%m-%d_%H-%M-%S')
    for taken in ('recording', PLAYED):
        if (out / taken).exists():
            raise ConfigError(f'{out} already holds a run; choose another --out')
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'--out {out}: {error.strerror}') from error
    return out.resolve()


def _play(params: Params, scene: Scene, out: Path, stages: Stages) -> None:
    """Start the graph, play the scene, end the graph."""
    with Processes(environment(out / 'log'), out / 'log') as graph:
        guard = ['--params-file', str(_robot(params))]
        graph.start('watchdog', [*_node('watchdog', {}), *guard])
        graph.start('camera_detector', _node('camera_detector', _detector(params), image=CAMERA))
        record = ['--out', str(out / 'recording'), '--topics', *RECORDED]
        graph.start('recorder', _tool('record', *record), tells=True)
        if params.view:
            _watch(graph, params.view)
        _until_joined(graph, stages.begin('starting'))
        for number in range(params.load):
            graph.start(f'load_{number}', ['-c', _BURN])
        player = graph.start(
            'player',
            _tool(
                'play', '--bag', str(scene.bag), '--topics', CAMERA, ODOM,
                # of the odometry: detector, watchdog and recorder
                '--wait-for', CAMERA, ODOM, ODOM, ODOM, '--wait-s', '30',
                '--loops', str(scene.loops), '--log', str(out / PLAYED),
            ),
            tells=True,
            needed=False,
        )  # fmt: skip
        _follow(graph, player, stages)
        end_s = time.monotonic() + _LAST_WORDS_S  # the detector sums up once a second
        plot.prepare()
        time.sleep(max(0.0, end_s - time.monotonic()))
        graph.check()


def _watch(graph: Processes, how: str) -> None:
    """Start the viewer beside the nodes, and say where to look once it is there."""
    where = ['--web'] if how == 'web' else ['--save', how]
    viewer = graph.start('viewer', ['-m', 'edge_inference_ros.cli', 'view', *where])
    end_s = time.monotonic() + _START_S
    while how == 'web' and 'http' not in viewer.last_words():
        graph.check()
        if time.monotonic() > end_s:
            raise ConfigError(f'the viewer did not start; its log is {viewer.log}')
        time.sleep(0.1)
    say('  watch      ' + (viewer.last_words(1) if how == 'web' else how))


def _node(name: str, parameters: dict[str, str], **remapped: str) -> list[str]:
    words = ['-m', f'edge_inference_ros.nodes.{name}', '--ros-args', '-p', 'autostart:=true']
    for key, value in parameters.items():
        words += ['-p', f'{key}:={value}']
    for inner, outer in remapped.items():
        words += ['-r', f'{inner}:={outer}']
    return words


def _detector(params: Params) -> dict[str, str]:
    settings = {'model': params.model, 'backend': params.backend, 'tracker': params.tracker,
            'expected_rate_hz': str(float(params.rate_hz))}  # fmt: skip
    return settings | ({'precision': params.precision} if params.precision else {})


def _tool(step: str, *arguments: str) -> list[str]:
    return ['-m', 'edge_inference_ros.cli', 'replay', step, *arguments, '--json']


def _until_joined(graph: Processes, tell: Tell) -> None:
    """Wait until the recorder hears the nodes, which then are configured and active."""
    missing = set(ESSENTIAL)
    end_s = time.monotonic() + _START_S
    while missing:
        _refuse_refusals(graph)
        if time.monotonic() > end_s:
            raise ConfigError(
                f'nobody publishes {", ".join(sorted(missing))} after {_START_S:g} s;'
                f' the logs are in {graph.logs}'
            )
        if (heard := graph.hear(0.2)) and heard[1].get('event') == 'joined':
            missing.discard(heard[1]['topic'])
        tell(1 - len(missing) / len(ESSENTIAL), 'nodes configure and activate')


def _refuse_refusals(graph: Processes) -> None:
    """Do not wait for a node that has already said why it will not come."""
    for child in graph.children:
        for line in child.last_words(20).splitlines():
            if 'ERROR' in line and ('cannot ' in line or 'failed to ' in line):
                raise ConfigError(f'{child.name}: {line.rpartition("]: ")[2]}')


def _follow(graph: Processes, player: Child, stages: Stages) -> None:
    """Show how far the player is and what the nodes say, until the player ends."""
    tell = stages.begin('driving')
    part, counts = 0.0, {'published': 0, 'detected': 0, 'forwarded': 0}
    while player.process.poll() is None or not graph.events.empty():
        if not counts['published']:
            _refuse_refusals(graph)
        if (heard := graph.hear(0.2)) is None:
            continue
        event = heard[1]
        part = event.get('part', part)
        counts['published'] = event.get('published', {}).get(CAMERA, counts['published'])
        recorded = event.get('recorded', {})
        counts['detected'] = recorded.get('/latency', counts['detected'])
        counts['forwarded'] = recorded.get('/fresh/detections', counts['forwarded'])
        tell(part, ', '.join(f'{count} {name}' for name, count in counts.items()))
        _show(stages, event.get('guard', {}))
    if player.process.returncode:
        raise ConfigError(f'the player failed: {player.last_words()}')


def _show(stages: Stages, guard: dict[str, str]) -> None:
    """What the watchdog last said: how old what it holds is, and what the robot may do."""
    if not guard:
        return
    limit = guard['limit_mps']
    allowed = 'must stop' if limit == 'none' else f'up to {limit} m/s'
    stages.show('robot', f'{guard["state"]}, {allowed}')
    if 'age_ms' in guard:
        age_ms, deadline_ms = float(guard['age_ms']), float(guard['deadline_ms'])
        if deadline_ms > 0.0:
            words = f'{age_ms:.0f} of {deadline_ms:.0f} ms'
            stages.show('age', words, age_ms / deadline_ms)
        else:
            stages.show('age', f'{age_ms:.0f} ms, and no age is young enough now')


def _where(answer: RunReport, out: Path) -> None:
    overlays = [name for name in answer.written if 'overlays' in name]
    say('')
    for name, what in (
        ('report.html', 'all of it on one page'),
        ('report.txt', 'this table'),
        ('report.json', 'the same for machines'),
        ('latency.png', 'every frame, stage by stage'),
        ('overlays', f'{len(overlays)} pictures with what was found'),
        ('worst', 'the oldest results and the first that were refused'),
        ('pictures', 'what was played, as a bag'),
        (PLAYED, 'when each frame was played'),
        ('recording', 'everything the nodes said, as a bag'),
        ('log', 'the output of every process'),
    ):
        if (out / name).is_file() or any((out / name).glob('*')):
            say(f'  {out / name}   {what}')


def say(text: str) -> None:
    """Print for whoever watches."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()
