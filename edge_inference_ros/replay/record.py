"""Records topics as they are serialised, into an mcap bag any ROS 2 tool reads."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from edge_inference_ros.core.params import param
from edge_inference_ros.errors import BagError, ConfigError
from edge_inference_ros.replay import definitions
from edge_inference_ros.replay._ros import matching_qos
from edge_inference_ros.ros.tool import message_class, open_node

log = logging.getLogger(__name__)

_LOOK_S = 0.2
_DEPTH = 100
_FLUSH_S = 0.7
_TELL_S = 0.25
_PATIENCE_S = 5.0
_HEARTBEAT = '/freshness'
"""With the 0.2 s that a wait may take, every message is in the file within a second."""


@dataclass(frozen=True)
class Params:
    """What to record, and where to."""

    out: str = param('', 'folder to create; it must not exist', required=True)
    topics: tuple[str, ...] = param((), 'topics to wait for and record', required=True)
    seconds: float = param(0.0, 'stop after so long; 0 means when interrupted', low=0.0)
    json: bool = param(
        default=False, doc='print a JSON line when a topic is joined, and the counts'
    )


@dataclass
class Recorded:
    """How many messages of each topic went into the bag, and which topics nobody published."""

    counts: Counter[str] = field(default_factory=Counter)
    missing: tuple[str, ...] = ()


def run(params: Params) -> Recorded:
    """Record until interrupted or ``params.seconds`` have passed; the bag is closed properly.

    Raises:
        BagError: the folder exists or cannot be written, or a type is not installed here.
    """
    if not params.topics:
        raise ConfigError('nothing to record: name the topics')
    writer = open_writer(Path(params.out))
    recorded = Recorded()
    if not params.json:
        log.info('recording into %s; Ctrl-C ends it', params.out)
    try:
        with open_node('recorder') as node:
            _Recorder(node, writer, params, recorded).spin()
    finally:
        writer.close()
        if params.json:
            _tell({'event': 'end', 'recorded': recorded.counts, 'missing': recorded.missing})
        else:
            _sum_up(recorded, params)
    return recorded


def _sum_up(recorded: Recorded, params: Params) -> None:
    for topic, count in sorted(recorded.counts.items()):
        log.info('%8d  %s', count, topic)
    for topic in recorded.missing:
        log.warning('%8d  %s: nobody published it', 0, topic)
    if not recorded.counts.total():
        log.warning('%s holds no message', params.out)


def open_writer(folder: Path) -> Writer:
    """A new mcap bag.

    Raises:
        BagError: ``folder`` exists or cannot be made.
    """
    try:
        writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        try:
            writer.open()
            flush(writer)
        except OSError:
            with contextlib.suppress(OSError):
                writer.close()
            shutil.rmtree(folder, ignore_errors=True)  # it would be in the way of a second try
            raise
    except (WriterError, OSError) as error:
        raise BagError(f'{folder}: cannot be recorded into: {error}') from error
    return writer


def flush(writer: Writer) -> None:
    """Hand what was written so far to the system: a recorder that is killed loses what came since.

    The chunk is closed, so that readers find it without the index that is written last.
    """
    storage: Any = writer.storage
    if storage.chunk.msgs:
        storage.close_chunk()
    storage.bio.flush()


class _Recorder:
    """Subscribes to each topic once somebody publishes it, with what that somebody offers."""

    def __init__(self, node: Any, writer: Writer, params: Params, recorded: Recorded) -> None:
        self._node = node
        self._writer = writer
        self._params = params
        self._recorded = recorded
        self._heartbeat = b''
        self._missing = {node.resolve_topic_name(name): name for name in params.topics}
        recorded.missing = tuple(self._missing)

    def spin(self) -> None:
        import rclpy

        end_s = time.monotonic() + (self._params.seconds or float('inf'))
        looked_s = told_s = 0.0
        flushed_s = time.monotonic()
        asked_s = time.monotonic() + _PATIENCE_S
        while rclpy.ok() and (now_s := time.monotonic()) < end_s:
            if self._missing and not self._params.json and now_s > asked_s:
                asked_s = math.inf
                names = ', '.join(self._missing)
                log.warning('nobody publishes %s so far (%s)', names, _domain())
            if self._missing and now_s - looked_s > _LOOK_S:
                looked_s = now_s
                self._join()
            if self._params.json and now_s - told_s > _TELL_S:
                told_s = now_s
                said = {'recorded': self._recorded.counts, 'guard': _guard(self._heartbeat)}
                _tell({'event': 'progress', **said})
            if now_s - flushed_s >= _FLUSH_S:
                flushed_s = now_s
                flush(self._writer)
            rclpy.spin_once(self._node, timeout_sec=_LOOK_S)

    def _join(self) -> None:
        for topic in list(self._missing):
            if publishers := self._node.get_publishers_info_by_topic(topic):
                self._subscribe(topic, publishers)
                del self._missing[topic]
                self._recorded.missing = tuple(self._missing)

    def _subscribe(self, topic: str, publishers: list[Any]) -> None:
        msgtype = publishers[0].topic_type
        text, type_hash = definitions.described(msgtype)
        connection = self._writer.add_connection(topic, msgtype, msgdef=text, rihs01=type_hash)

        def write(data: bytes) -> None:
            self._writer.write(connection, time.time_ns(), data)
            self._recorded.counts[topic] += 1
            if topic.endswith(_HEARTBEAT):
                self._heartbeat = data

        self._node.create_subscription(
            message_class(msgtype), topic, write, matching_qos(publishers, _DEPTH), raw=True
        )
        self._recorded.counts[topic] += 0
        if self._params.json:
            _tell({'event': 'joined', 'topic': self._params_name(topic)})
        else:
            log.info('records %s (%s)', topic, msgtype)

    def _params_name(self, topic: str) -> str:
        names = {self._node.resolve_topic_name(name): name for name in self._params.topics}
        return names[topic]


def _guard(heartbeat: bytes) -> dict[str, str]:
    """What a watchdog's heartbeat says of the robot and of its first source."""
    if not heartbeat:
        return {}
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.serialization import deserialize_message

    summary, *sources = deserialize_message(heartbeat, DiagnosticArray).status
    values = {pair.key: pair.value for row in (summary, *sources[:1]) for pair in row.values}
    known = ('limit_mps', 'age_ms', 'deadline_ms', 'verdict')
    return {'state': summary.message, **{key: values[key] for key in known if key in values}}


def _domain() -> str:
    return f'ROS_DOMAIN_ID {os.environ.get("ROS_DOMAIN_ID", "0")}'


def _tell(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)  # noqa: T201 - this is the output
