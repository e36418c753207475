"""One file that shows a run: what was driven, where the time went, how old each answer was.

It needs nothing besides itself: pictures lie in it, and no script, font or address elsewhere.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2

from edge_inference_ros.core.latency import STAGES, WHOLE
from edge_inference_ros.machine import files
from edge_inference_ros.replay.figures import LatencyRow, Observed, in_ms, ms
from edge_inference_ros.replay.plot import COLOURS
from edge_inference_ros.replay.summary import RunReport

NAME = 'report.html'
_PICTURE_PX, _QUALITY = 560, 78
_WIDE, _HIGH, _LEFT, _BELOW = 960, 170, 46, 20
_MOST_POINTS, _AFTER_NS = 1500, 200_000_000


@dataclass(frozen=True)
class Worst:
    """A frame worth a look: why it is here, and its picture."""

    why: str
    picture: Path


def worst(seen: Observed, most: int = 3) -> dict[int, str]:
    """By stamp, the oldest outputs and the first that were refused, each with the reason."""
    let_through = {stamp for stamp, _ in seen.forwarded_ns}
    oldest = sorted(seen.outputs, key=lambda output: -output.laps_ms[WHOLE])[:most]
    chosen = {o.stamp_ns: f'oldest at output: {o.laps_ms[WHOLE]:.1f} ms' for o in oldest}
    refused = [o for o in seen.outputs if seen.verdicts and o.stamp_ns not in let_through]
    for output in refused[:most]:
        age = f'{output.laps_ms[WHOLE]:.1f} ms at output'
        chosen.setdefault(output.stamp_ns, f'refused by the watchdog, {age}')
    return chosen


def write(
    path: Path, report: RunReport, seen: Observed, frames: Sequence[Worst], about: Sequence[str]
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the page.
        report: its figures.
        seen: its frames.
        frames: pictures to show; one that cannot be read is left out.
        about: lines that say what was run.

    Raises:
        ConfigError: it cannot be written; what was there before stays.
    """
    about = (f'{time.strftime("%Y-%m-%d %H:%M")}, {path.parent.resolve()}', *about)
    files.write_text(path, _page(report, seen, frames, about))


def _page(report: RunReport, seen: Observed, frames: Sequence[Worst], about: Sequence[str]) -> str:
    lines = ''.join(f'<p>{escape(line.strip())}</p>' for line in about)
    shown = ''.join(_figure(frame) for frame in frames)
    parts = [
        f'<h1>{escape(_headline(report))}</h1>',
        f'<section class="about">{lines}</section>',
        f'<section class="sticky">{_ages(seen)}</section>',
        f'<section><h2>Where the time went</h2>{_waterfall(report.latency)}</section>',
        f'<section><h2>Figures</h2><pre>{escape(report.as_table())}</pre></section>',
    ]
    if shown:
        parts.append(f'<section><h2>Worst frames</h2><div class="frames">{shown}</div></section>')
    body = '\n'.join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>edge_inference: a run</title><style>{_STYLE}</style></head>\n'
        f'<body>{body}</body></html>\n'
    )


def _headline(report: RunReport) -> str:
    whole = next((row for row in report.latency if row.stage == WHOLE), None)
    p50 = in_ms(whole.quantiles_ms[0] if whole else None)
    p99 = in_ms(whole.quantiles_ms[-1] if whole else None)
    frames, guard = report.frames, report.guard
    refused = f', {sum(guard.refused.values())} refused' if guard else ''
    return f'{frames.detected} outputs, p50 {p50}, p99 {p99}{refused}'


def _figure(frame: Worst) -> str:
    picture = cv2.imread(str(frame.picture))
    if picture is None:
        return ''
    height, width = picture.shape[:2]
    scale = min(1.0, _PICTURE_PX / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    text = base64.b64encode(data.tobytes()).decode('ascii')
    return (
        f'<figure><img alt="{escape(frame.why)}" src="data:image/jpeg;base64,{text}">'
        f'<figcaption>{escape(frame.why)}</figcaption></figure>'
    )


def _waterfall(rows: Sequence[LatencyRow]) -> str:
    """One bar a stage, each beginning where the one before ends; p50 full, up to p99 faint."""
    stages = [row for row in rows if row.stage in STAGES and row.quantiles_ms[0] is not None]
    whole = sum(row.quantiles_ms[0] or 0.0 for row in stages)
    most = max([whole, *(_worst_ms(row) for row in stages)], default=0.0)
    if not most:
        return '<p>Too few frames to say.</p>'
    out, begin = [], 0.0
    for row in stages:
        p50, far = row.quantiles_ms[0] or 0.0, _worst_ms(row)
        left, width, faint = (100.0 * value / most for value in (begin, p50, far))
        colour = COLOURS.get(row.stage, '#888888')
        out.append(
            f'<div class="row"><span>{escape(row.stage)}</span><span class="bar">'
            f'<i class="faint" style="left:{left:.2f}%;width:{min(faint, 100 - left):.2f}%;'
            f'background:{colour}"></i><i style="left:{left:.2f}%;width:{width:.2f}%;'
            f'background:{colour}"></i></span><span>{ms(p50)} / {ms(row.quantiles_ms[-1])}</span>'
            '</div>'
        )
        begin += p50
    note = '<p class="note">p50 / p99 in ms; faint: up to p99, or the greatest.</p>'
    return f'<div class="waterfall">{"".join(out)}</div>{note}'


def _worst_ms(row: LatencyRow) -> float:
    return row.quantiles_ms[-1] or row.max_ms or 0.0


def _ages(seen: Observed) -> str:
    """Age of what the watchdog held, against its deadline; or of each output without one."""
    first_ns = seen.outputs[0].stamp_ns if seen.outputs else 0
    last_s = (max((output.stamp_ns for output in seen.outputs), default=0) - first_ns) / 1e9
    if seen.ages:
        # What is held only grows older once nothing is played any more.
        last_ns = max((output.stamp_ns for output in seen.outputs), default=0) + _AFTER_NS
        rows = [
            ((at - first_ns) / 1e9, age, limit) for at, age, limit in seen.ages if at <= last_ns
        ]
    else:
        rows = [((o.stamp_ns - first_ns) / 1e9, o.laps_ms[WHOLE], 0.0) for o in seen.outputs]
    rows = rows[:: max(1, len(rows) // _MOST_POINTS)]
    if len(rows) < 2:
        return '<p>Too few frames to draw.</p>'
    top = 1.05 * max(max(age, limit) for _, age, limit in rows)
    start_s, span_s = rows[0][0], max(rows[-1][0] - rows[0][0], 1e-9)

    def at(s: float, value: float) -> str:
        x = _LEFT + (s - start_s) / span_s * (_WIDE - _LEFT)
        return f'{x:.1f},{_HIGH * (1 - value / top):.1f}'

    age = ' '.join(at(s, value) for s, value, _ in rows)
    late = [(s, value) for s, value, limit in rows if limit and value > limit and s <= last_s]
    marks = ''.join(
        f'<path class="late" d="M{at(s, value)}m-3,-3l6,6m0,-6l-6,6"/>' for s, value in late[:300]
    )
    limit = ' '.join(at(s, value) for s, _, value in rows) if seen.ages else ''
    title = _AGES if seen.ages else 'age at output, ms'
    return (
        f'<p class="note">{title}</p>'
        f'<svg viewBox="0 0 {_WIDE} {_HIGH + _BELOW}" role="img" aria-label="{title}">'
        f'{_axes(top, span_s)}<polyline class="limit" points="{limit}"/>'
        f'<polyline class="age" points="{age}"/>{marks}</svg>'
    )


_AGES = (
    'age of what is held (line) against its deadline (dashed), ms; a cross where it was too old'
    ' when the watchdog looked: what it refused is counted in the figures below'
)


def _axes(top: float, span_s: float) -> str:
    def lines() -> Iterable[str]:
        for part in (0.0, 0.5, 1.0):
            y = _HIGH * (1 - part)
            yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDE}" y2="{y:.1f}"/>'
            yield f'<text x="{_LEFT - 6}" y="{max(y, 10):.1f}" class="y">{top * part:.0f}</text>'
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = _LEFT + part * (_WIDE - _LEFT)
            side = 'end' if part == 1.0 else 'start'
            at = f'x="{x:.1f}" y="{_HIGH + 15}" text-anchor="{side}"'
            yield f'<text {at}>{span_s * part:.0f} s</text>'

    return ''.join(lines())


_STYLE = """
:root{--back:#fff;--ink:#1c1e21;--soft:#5c6370;--line:#d8dbe0;--age:#1a6fb5;--late:#c01c28}
@media(prefers-color-scheme:dark){:root{--back:#15181c;--ink:#e6e8eb;--soft:#9aa3ae;--line:#343a42;
--age:#6cb6ff;--late:#ff7b72}}
body{margin:0 auto;padding:1rem;max-width:62rem;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
.about p{margin:0;color:var(--soft);overflow-wrap:anywhere}.note{margin:0;color:var(--soft);
font-size:.85rem}
.sticky{position:sticky;top:0;background:var(--back);padding:.6rem 0;
border-bottom:1px solid var(--line)}
svg{width:100%;height:auto;display:block}svg line{stroke:var(--line)}
svg text{fill:var(--soft);font-size:12px}svg text.y{text-anchor:end}
polyline{fill:none;stroke-width:1.5}.age{stroke:var(--age)}
.limit{stroke:var(--soft);stroke-dasharray:6 4}.late{stroke:var(--late);stroke-width:1.5;fill:none}
.row{display:grid;grid-template-columns:6rem 1fr 7rem;gap:.6rem;align-items:center;margin:.15rem 0}
.row>:last-child{text-align:right;font-variant-numeric:tabular-nums}
.bar{position:relative;height:1rem;background:color-mix(in srgb,var(--line) 40%,transparent)}
.bar i{position:absolute;top:0;bottom:0;min-width:1px}.bar .faint{opacity:.3}
pre{overflow-x:auto;font-size:.85rem;line-height:1.35}
.frames{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0}img{width:100%;height:auto;display:block}figcaption{color:var(--soft)}
"""
