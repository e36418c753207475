"""The latency of every frame as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from edge_inference_ros.core.latency import STAGES, WHOLE
from edge_inference_ros.machine import files
from edge_inference_ros.replay.figures import CORRECTED, Observed, corrected_ms

COLOURS = {
    'transport': '#4c78a8',
    'wait': '#f2b880',
    'view': '#e8d8a0',
    'prepare': '#72b7b2',
    'infer': '#a7c6e5',
    'decode': '#54a24b',
    'track': '#b279a2',
    'publish': '#9d755d',
}


_ROOM = 1.08
"""How far the axis reaches above what is drawn."""


def prepare() -> None:
    """Import what draws, which takes a second, while there is time."""
    from matplotlib.backends import backend_agg  # noqa: F401
    from matplotlib.figure import Figure  # noqa: F401


def save(seen: Observed, path: Path) -> None:
    """Draw where each frame's time went, over time, and how the totals are distributed.

    Draws into memory: no display is needed. Nothing is written for a run without outputs.

    Raises:
        ConfigError: the file cannot be written.
    """
    if not seen.outputs:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout='constrained')
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    _over_time(seen, above)
    _distribution(seen, below)
    with files.whole(path) as part:
        FigureCanvasAgg(figure).print_figure(str(part), dpi=110, format='png')


def _over_time(seen: Observed, axes: Any) -> None:
    first_ns = seen.outputs[0].stamp_ns
    at_s = np.array([o.stamp_ns - first_ns for o in seen.outputs]) / 1e9
    stages = [s for s in STAGES if any(s in o.laps_ms for o in seen.outputs)]
    laps = [[o.laps_ms.get(s, 0.0) for o in seen.outputs] for s in stages]
    if stages:
        colours = [COLOURS.get(s, '#888888') for s in stages]
        axes.stackplot(at_s, laps, labels=stages, colors=colours)
    totals = np.array([o.laps_ms[WHOLE] for o in seen.outputs])
    top = totals.max()
    if seen.verdicts:
        let_through = {stamp for stamp, _ in seen.forwarded_ns}
        refused = np.array([o.stamp_ns not in let_through for o in seen.outputs])
        axes.plot(
            at_s[refused], totals[refused], 'x', color='crimson', label='refused by the watchdog'
        )
    if seen.ages:
        since_s = np.array([(at_ns - first_ns) / 1e9 for at_ns, _, _ in seen.ages])
        deadline = np.array([deadline_ms for _, _, deadline_ms in seen.ages])
        within = (since_s >= 0.0) & (since_s <= max(float(at_s[-1]), 1e-3))
        least_ms = float(deadline[within].min(initial=math.inf))
        top = max(top, min(least_ms * 1.5, top * 4)) if within.any() else top
        label = 'deadline at this speed'
        if within.any() and least_ms > top * _ROOM:
            label += f': {least_ms:.0f} ms and more, above this picture'
        axes.plot(since_s, deadline, color='black', linewidth=1.5, label=label)
    axes.set(
        xlim=(0, max(float(at_s[-1]), 1e-3)),
        ylim=(0, top * _ROOM),
        xlabel='time of exposure, s',
        ylabel='sensor to output, ms',
        title='where the time of each frame went',
    )
    if axes.get_legend_handles_labels()[0]:
        # Beside the axes: inside, it would lie on the highest peaks, which are what one looks for.
        axes.legend(loc='upper left', bbox_to_anchor=(1.0, 1.0), fontsize='small')


def _distribution(seen: Observed, axes: Any) -> None:
    curves = {WHOLE: [o.laps_ms[WHOLE] for o in seen.outputs], CORRECTED: corrected_ms(seen)}
    for name, values in curves.items():
        if values:
            share = 1 - np.arange(len(values)) / len(values)
            axes.step(np.sort(values), share, where='post', label=f'{name} ({len(values)} frames)')
    axes.set(
        yscale='log',
        xlabel='latency, ms',
        ylabel='part of frames this late or later',
        title='distribution: what the slow ones cost',
    )
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc='upper right', fontsize='small')
