"""Runs a recording at a pace: `logic` for the decisions alone, equal bit for bit everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge_inference_ros.core.params import param
from edge_inference_ros.errors import BadStamp, BagError
from edge_inference_ros.guard.profiles import read_robot
from edge_inference_ros.replay import definitions, stamps
from edge_inference_ros.replay.bags import Bag, Record, only_whole, open_bag
from edge_inference_ros.replay.paces import logic
from edge_inference_ros.replay.pictures import SENSORS
from edge_inference_ros.replay.schedule import Schedule
from edge_inference_ros.replay.summary import RunReport, judge
from edge_inference_ros.replay.verdict import result

ODOMETRY = 'nav_msgs/msg/Odometry'
_FRAMES = (*SENSORS, 'sensor_msgs/msg/PointCloud2')


@dataclass(frozen=True)
class Params:
    """What to run on the recording."""

    pace: str = param(
        'logic', 'logic: no engine, no clock but that of the bag', choices=('logic',)
    )
    topic: str = param('', 'topic of the frames; empty takes the only camera or LiDAR')
    service_ms: tuple[float, ...] = param(
        (20.0,), 'what a frame costs: one duration a frame, from the start again after the last'
    )
    rate: float = param(1.0, 'frames come so many times faster', low=0.01, high=100.0)
    robot: str = param(
        '', 'a name in config/robots, or the path of such a file: its guard judges every result'
    )
    odometry: str = param('/odom', 'topic of the odometry the guard hears')
    frames: int = param(0, 'stop after so many; 0 takes all', low=0)
    out: str = param('', 'folder for result.json, which `replay compare` reads')


def run(bag: Path, params: Params) -> RunReport:
    """Let the frames of ``bag`` go through the logic, and say what came of it.

    Raises:
        BagError: INVALID INPUT: no such recording, a part of it is lost, no frames, or stamps
            that are missing or do not increase.
        ParameterError: no such robot, or durations below zero.
    """
    script = logic.Script(tuple(round(ms * 1e6) for ms in params.service_ms))
    print_ = result.Fingerprint()
    with open_bag(bag) as opened:
        topic = _topic(only_whole(opened), params.topic)
        frames = itertools.islice(opened.records((topic,)), params.frames or None)
        outcome = logic.play(_printed(frames, print_), script, rate=params.rate)
        if params.robot:
            outcome = _guarded(outcome, opened, params)
    seen = outcome.observed()
    whole = result.Result(
        result.LOGIC,
        bag.name,
        print_.hex(),
        (result.run_of(seen, outputs_sha256=outcome.sha256()),),
        {
            'topic': topic,
            'rate': params.rate,
            'service_ms': list(params.service_ms),
            'robot': params.robot,
        },
    )
    report = judge(seen, str(bag), [f'results {outcome.sha256()}'])
    written = (str(result.write(whole, Path(params.out))),) if params.out else ()
    return replace(report, written=written)


def _guarded(outcome: logic.Outcome, opened: Bag, params: Params) -> logic.Outcome:
    robot = read_robot(params.robot)
    topic = opened.topics.get(params.odometry)
    if topic is None and params.odometry != Params.odometry:
        there = ', '.join(sorted(t.name for t in opened.topics.values() if t.msgtype == ODOMETRY))
        raise BagError(
            f'INVALID INPUT: {opened.path}: no topic {params.odometry!r}; odometry is on'
            f' {there or "none"}'
        )
    moves: Iterator[Record] = iter(())
    if topic is not None and topic.msgtype == ODOMETRY:
        moves = opened.records((params.odometry,))
    first = next((done.arrived_ns for done in outcome.done), 0)
    return logic.guarded(outcome, moves, robot, Schedule(first, first, params.rate))


def _topic(bag: Bag, name: str) -> str:
    """The topic of the frames: ``name``, or the only one there is."""
    if name:
        topic = bag.topics.get(name)
        if topic is not None and not definitions.is_stamped(topic.msgtype):
            raise BagError(f'INVALID INPUT: {bag.path}: {name} is {topic.msgtype}, without stamps')
        return bag.need(name, (topic.msgtype,) if topic else ()).name
    topics = [t.name for t in bag.topics.values() if t.msgtype in _FRAMES and t.count]
    if len(topics) != 1:
        which = ', '.join(sorted(topics)) or 'none'
        raise BagError(f'INVALID INPUT: {bag.path}: which topic? With frames there are {which}')
    return bag.need(topics[0], _FRAMES).name


def _printed(frames: Iterator[Record], print_: result.Fingerprint) -> Iterator[Record]:
    for record in frames:
        try:
            stamp_ns = int(stamps.read(record.data))
        except BadStamp as error:
            raise BagError(f'INVALID INPUT: {record.topic}: {error}') from error
        print_.take(stamp_ns, record.time_ns, len(record.data))
        yield record
