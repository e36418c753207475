"""The board as text: what a terminal shows, with or without colour, at any width.

Every meaning is in a word or a shape; colour only repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge_inference_ros.guard.verdict import Verdict
from edge_inference_ros.monitor.board import (
    SILENT_S,
    DetectorView,
    Picture,
    SourceView,
    Stage,
    WatchdogView,
)

STYLES = ('green', 'yellow', 'bold red', 'bold red')
NOTHING = '-'
_BAR = 12
_FIGURES = 50  # characters of a stage's line beside its bar
_EIGHTHS = ' ▏▎▍▌▋▊▉█'


def headline(guard: WatchdogView, picture: Picture) -> Text:
    """One guard in one line: state, lock, limit, speed, odometry."""
    locked = {None: 'lock not heard', True: 'LOCKED', False: 'unlocked'}[guard.locked]
    assumed = NOTHING if guard.v_assumed_mps is None else f'{guard.v_assumed_mps:.2f}'
    return Text.assemble(
        (guard.name, 'bold'), '  ', (guard.state, STYLES[guard.level]), '  ',
        (locked, 'bold red' if guard.locked else ''),
        f'  limit {_limit(guard.limit_mps)}  speed {speed(picture)} (assumed {assumed})',
        f'  odometry {guard.odometry or NOTHING}',
    )  # fmt: skip


def _limit(limit_mps: float | None) -> str:
    if limit_mps is None:
        return 'unknown'
    return f'{limit_mps:.2f} m/s' if limit_mps else 'STOP'


def unguarded(picture: Picture) -> Text:
    """What is said in place of the guards when none is heard."""
    if picture.sure:
        return Text('no watchdog is heard: nothing is guarded', STYLES[1])
    return Text(f'no watchdog heard yet, listening for {picture.listened_s:.0f} s', 'dim')


def speed(picture: Picture) -> str:
    """What the odometries say, in m/s."""
    return '/'.join(f'{value:.2f}' for value in picture.speeds_mps.values()) or NOTHING


def gauges(picture: Picture) -> str:
    """Load and temperature of the machine, in words."""
    words = []
    for name, value in picture.gauges.items():
        hot = name.endswith('_c')
        words.append(f'{name[:-2]} {value:.0f} °C' if hot else f'{name} {value:.0%}')
    return '  '.join(words)


def age_bar(age_ms: float | None, deadline_ms: float | None, width: int = _BAR) -> Text:
    """Age against deadline: full at the deadline, and marked ``!`` past it."""
    if age_ms is None or deadline_ms is None:
        return Text('·' * width, 'dim')
    part = age_ms / deadline_ms if deadline_ms > 0.0 else math.inf  # 0: no age is young enough
    if part > 1:
        return Text('█' * (width - 1) + '!', STYLES[2])
    return Text(filled(part, width), STYLES[0] if part < 0.8 else STYLES[1])


def filled(part: float, width: int) -> str:
    """A bar of ``width`` characters, ``part`` (0 to 1) of it full, to an eighth of a character."""
    eighths = round(8 * width * min(max(part, 0.0), 1.0))
    full, rest = divmod(eighths, 8)
    bar = '█' * full + (_EIGHTHS[rest] if rest else '')
    return bar.ljust(width, '░')


def source_cells(source: SourceView, detector: DetectorView | None) -> list[Text]:
    """The cells of ``COLUMNS``; frames gone are superseded, rejected and failed."""
    style = STYLES[min(source.level, 3)]
    gone = refused = NOTHING
    rate = NOTHING
    if detector is not None:
        counts = detector.counts
        gone = '/'.join(str(counts.get(n, 0)) for n in ('superseded', 'rejected', 'failed'))
        rate = NOTHING if detector.rate_hz is None else f'{detector.rate_hz:.1f}'
    if total := sum(source.refused.values()):
        refused = str(total)
    return [
        Text(source.topic if source.required else f'{source.topic} (optional)'),
        Text(source.state, style),
        age_bar(source.age_ms, source.deadline_ms),
        Text(f'{figure(source.age_ms)}/{figure(source.deadline_ms)}', justify='right'),
        Text(rate, justify='right'),
        Text(gone, justify='right'),
        Text('accepted' if source.verdict == Verdict.OK.value else source.verdict),
        Text(refused, justify='right'),
    ]


COLUMNS = (
    'source', 'state', 'age/deadline', 'ms', 'Hz', 'sup/rej/fail', 'newest', 'refused'
)  # fmt: skip


def lone_cells(detector: DetectorView, picture: Picture) -> list[Text]:
    """The row of a detector that no watchdog guards, or none that is heard yet."""
    source = SourceView(
        name=detector.topic,
        topic=detector.topic,
        state=_lone_state(detector, picture),
        verdict='',
        level=max(detector.level, 1),
        required=True,
        age_ms=None if detector.silent_s > SILENT_S else detector.whole.last_ms,
        deadline_ms=None,
        refused={},
    )
    return source_cells(source, detector)


def _lone_state(detector: DetectorView, picture: Picture) -> str:
    if detector.silent_s > SILENT_S:
        return 'SILENT'
    return 'UNGUARDED' if picture.sure else 'guard?'


def rows(picture: Picture) -> list[tuple[SourceView | None, DetectorView | None]]:
    """Every guarded topic with the detector behind it, then detectors that nobody guards."""
    detectors = {detector.topic: detector for detector in picture.detectors}
    guarded = [
        (source, detectors.get(source.topic))
        for guard in picture.guards
        for source in guard.sources
    ]
    names = {source.topic for source, _ in guarded}
    lone = [(None, found) for topic, found in detectors.items() if topic not in names]
    return [*guarded, *lone]


def waterfall(detector: DetectorView, width: int = 78) -> Text:
    """Where the time of the newest prediction went: a bar a stage, end to end."""
    total = sum(stage.last_ms or 0.0 for stage in detector.stages) or 1.0
    room = max(10, min(48, width - _FIGURES))
    text = Text()
    begun = 0.0
    for stage in (*detector.stages, detector.whole):
        last = stage.last_ms or 0.0
        whole = stage is detector.whole
        start = 0 if whole else round(room * begun / total)
        length = room if whole else max(1, round(room * last / total))
        bar = (' ' * min(start, room - 1) + '█' * length)[:room].ljust(room)
        text.append(f'{stage.name:<17}'[:17])
        text.append(bar, 'bold' if whole else 'cyan')
        text.append(f' {_stage_figures(stage)}\n')
        begun += 0.0 if whole else last
    text.append(f'{detector.model} on {detector.backend}', 'dim')
    if detector.silent_s > SILENT_S:
        text.append(f'  SILENT for {detector.silent_s:.0f} s: these are its last', STYLES[2])
    if detector.words:
        text.append(f'  {detector.words}', STYLES[min(detector.level, 3)])
    return text


def _stage_figures(stage: Stage) -> str:
    return f'{figure(stage.last_ms):>7} p50{figure(stage.p50_ms):>7} p99{figure(stage.p99_ms):>7}'


def figure(value: float | None) -> str:
    """Milliseconds with three figures or so."""
    if value is None:
        return NOTHING
    return f'{value:.1f}' if abs(value) < 100 else f'{value:.0f}'


def cells(
    picture: Picture, source: SourceView | None, detector: DetectorView | None
) -> list[Text]:
    """One of ``rows`` as the cells of ``COLUMNS``."""
    if source is not None:
        return source_cells(source, detector)
    assert detector is not None, 'a row has one or the other'  # noqa: S101
    return lone_cells(detector, picture)


def table(picture: Picture) -> Table:
    """All sources as one table."""
    grid = Table(*COLUMNS, box=None, pad_edge=False)
    for source, detector in rows(picture):
        grid.add_row(*cells(picture, source, detector))
    return grid


def whole(picture: Picture, width: int) -> RenderableType:
    """Everything at once, for ``--once``."""
    parts: list[RenderableType] = [headline(guard, picture) for guard in picture.guards]
    if not picture.guards:
        parts.append(unguarded(picture))
    parts += ['', table(picture)]
    for detector in picture.detectors:
        parts += ['', Text(detector.name, 'bold'), waterfall(detector, width)]
    if words := gauges(picture):
        parts += ['', Text(words, 'dim')]
    return Group(*parts)


def log_lines(log: Sequence[tuple[float, str]], start_s: float) -> list[str]:
    """What changed, seconds since ``start_s`` in front."""
    return [f'{at_s - start_s:7.1f} s  {text}' for at_s, text in log]
