"""Shows pictures with boxes, ages, stages and verdicts on one time line, live or from a bag."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_inference_ros.core.params import param
from edge_inference_ros.errors import ConfigError
from edge_inference_ros.machine import files
from edge_inference_ros.ros.tool import message_class, open_node

if TYPE_CHECKING:
    import rerun as rr

    from edge_inference_ros.monitor.scene import Scene

LOOPBACK = '127.0.0.1'
PERIOD_S = 0.05
DISCOVER_EVERY = 40  # looks
START_S = 30.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Params:
    """What to show, and where."""

    bag: str = param('', 'recording to show; empty shows the running graph')
    topics: tuple[str, ...] = param((), 'topics to show; empty shows all that can be drawn')
    save: str = param('', 'file to write instead of opening a viewer (.rrd)')
    web: bool = param(default=False, doc='serve the viewer to a browser on this machine')
    port: int = param(9090, 'port of the page that --web serves', low=1024, high=65000)
    seconds: float = param(
        0.0, 'end after so many seconds of the running graph; 0 goes on until Ctrl-C',
        low=0.0, high=86400.0,
    )  # fmt: skip


def run(*, params: Params) -> int:
    """Draw a recording or the running graph until it ends or somebody ends it.

    Raises:
        ConfigError: Rerun is not installed; the port is taken; the file cannot be written; the
            bag cannot be read or holds nothing that can be drawn; nothing was heard.
    """
    try:
        import rerun as rr
    except ImportError as error:
        raise ConfigError(
            'view needs Rerun: pip install rerun-sdk (Python 3.11 or newer); `edge_inference top`'
            ' needs none'
        ) from error
    from edge_inference_ros.monitor.scene import Scene, layout

    stream = rr.RecordingStream('edge_inference')
    with _shown(stream, layout(), params):
        scene = Scene(stream)
        if params.bag:
            _from_bag(scene, Path(params.bag), params)
        else:
            _from_graph(scene, params)
        stream.flush()
        if not scene.drawn:
            raise ConfigError(
                'nothing was drawn: no message of '
                + ', '.join(params.topics or scene.kinds)
                + (f' in {params.bag}' if params.bag else ' was heard')
            )
        say(f'drew {scene.drawn} messages' + _unread(scene.unreadable))
        if params.web and params.bag:
            say('Ctrl-C ends the page')
            _until_interrupted()
    return 0


@contextlib.contextmanager
def _shown(stream: rr.RecordingStream, layout: Any, params: Params) -> Iterator[None]:
    """Connect ``stream`` to a file, a page or a window."""
    if params.save:
        if Path(params.save).exists():
            raise ConfigError(f'{params.save} is there already; choose another name')
        with files.whole(Path(params.save)) as part:
            part.touch()
            stream.save(part, default_blueprint=layout)
            try:
                yield
            finally:
                stream.disconnect()
        say(f'{params.save}   open it with: rerun {params.save}')
    else:
        arguments, url = _viewer(params)
        with _child(arguments):
            stream.connect_grpc(
                f'rerun+http://{LOOPBACK}:{_data_port(params)}/proxy', default_blueprint=layout
            )
            say(url)
            yield


def _viewer(params: Params) -> tuple[list[str], str]:
    data = str(_data_port(params))
    if params.web:
        source = f'rerun%2Bhttp%3A%2F%2F{LOOPBACK}%3A{data}%2Fproxy'
        page = f'http://{LOOPBACK}:{params.port}/?url={source}'
        return ['--serve-web', '--web-viewer-port', str(params.port), '--port', data], page
    if not os.environ.get('DISPLAY') and not os.environ.get('WAYLAND_DISPLAY'):
        raise ConfigError('no display here: use --web and a browser, or --save FILE.rrd')
    return ['--port', data], 'a window opens'


def _data_port(params: Params) -> int:
    return params.port + 1


@contextlib.contextmanager
def _child(arguments: list[str]) -> Iterator[None]:
    """The viewer as a process of its own, bound to loopback, that tells its makers nothing.

    Rerun's viewer collects usage data unless it is told not to. It is told so in a configuration
    folder made for this one process; the user's own settings are not touched.
    """
    program = shutil.which('rerun', path=str(Path(sys.executable).parent)) or shutil.which('rerun')
    if program is None:
        raise ConfigError('the program `rerun` is not beside this Python: pip install rerun-sdk')
    ports = [int(word) for word in arguments if word.isdigit()]
    for port in ports:
        _check_free(port)
    with tempfile.TemporaryDirectory(prefix='edge_inference_view_') as home:
        env = os.environ | {'HOME': home, 'XDG_CONFIG_HOME': f'{home}/config'}
        quiet: dict[str, Any] = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        subprocess.run([program, 'analytics', 'disable'], env=env, check=False, **quiet)  # noqa: S603
        say('usage statistics of the viewer are off')
        command = [program, '--bind', LOOPBACK, *arguments]
        # `rerun` starts the viewer as a child of its own: both end together, as one group.
        with subprocess.Popen(command, env=env, start_new_session=True, **quiet) as child:  # noqa: S603
            try:
                _wait_for(ports, child)
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGTERM)


def _check_free(port: int) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        ConfigError: it is in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            raise ConfigError(f'port {port} is in use on {LOOPBACK}: choose another --port')


def _wait_for(ports: list[int], child: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + START_S
    for port in ports:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                if probe.connect_ex((LOOPBACK, port)) == 0:
                    break
            if child.poll() is not None or time.monotonic() > end_s:
                raise ConfigError(f'the viewer did not open port {port} of {LOOPBACK}')
            time.sleep(0.05)


def _from_bag(scene: Scene, path: Path, params: Params) -> None:
    from edge_inference_ros.replay import definitions
    from edge_inference_ros.replay.bags import open_bag

    with open_bag(path) as bag:
        kinds = {name: topic.msgtype for name, topic in bag.topics.items()}
        wanted = _wanted(kinds, scene.kinds, params.topics)
        for record in bag.records(set(wanted)):
            message = definitions.decode(record.msgtype, record.data)
            scene.add(record.topic, record.msgtype, message)


def _from_graph(scene: Scene, params: Params) -> None:
    with open_node('edge_inference_view') as node:
        watch(node, scene, params)


def watch(
    node: Any,
    scene: Scene,
    params: Params,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Draw the newest message of every topic, twenty times a second; nothing is spun."""
    from edge_inference_ros.ros import qos

    readers: dict[str, tuple[Any, str]] = {}
    end_s = clock() + params.seconds if params.seconds else float('inf')
    looks = 0
    while clock() < end_s and node.context.ok():
        if looks % DISCOVER_EVERY == 0:
            offered = dict(node.get_topic_names_and_types())
            kinds = {
                topic: kind
                for topic, names in offered.items()
                for kind in names
                if node.get_publishers_info_by_topic(topic)
            }
            for topic, kind in _wanted(kinds, scene.kinds, params.topics).items():
                if topic not in readers:
                    reader = node.create_subscription(
                        message_class(kind), topic, _nobody, qos.sensor()
                    )
                    readers[topic] = reader, kind
        looks += 1
        for topic, (reader, kind) in readers.items():
            with reader.handle:
                taken = reader.handle.take_message(reader.msg_type, reader.raw)
            if taken is not None:
                scene.add(topic, kind, taken[0])
        pause(PERIOD_S)


def _wanted(
    kinds: dict[str, str], drawable: tuple[str, ...], chosen: tuple[str, ...]
) -> dict[str, str]:
    """Topics to draw, by type.

    Raises:
        ConfigError: one that was asked for is of a type that cannot be drawn.
    """
    for topic in chosen:
        if topic in kinds and kinds[topic] not in drawable:
            raise ConfigError(f'{topic} carries {kinds[topic]}; can draw {", ".join(drawable)}')
    return {
        topic: kind
        for topic, kind in kinds.items()
        if kind in drawable and (topic in chosen if chosen else _ours(topic, kind))
    }


def _ours(topic: str, kind: str) -> bool:
    """Without a choice: no overlays beside the pictures they repeat, no booleans of others."""
    last = topic.rpartition('/')[2]
    if kind == 'std_msgs/msg/Bool':
        return last == 'lock'
    return last != 'overlay' and 'fresh/' not in topic


def _unread(count: int) -> str:
    return f'; {count} could not be read, see the log in the viewer' if count else ''


def _until_interrupted() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _nobody(_msg: Any) -> None:
    """Nothing spins the node, so this is never called."""


def say(text: str) -> None:
    """Print for whoever watches."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()
