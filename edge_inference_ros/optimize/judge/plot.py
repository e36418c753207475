"""What the gate measured as a picture: agreement, recall over distance, precision by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_inference_ros.core.report import Value
from edge_inference_ros.machine import files

COLOURS = {'reference': '#4c78a8', 'candidate': '#e4572e'}
Rows = Sequence[Mapping[str, Value]]


@dataclass(frozen=True)
class Agreed:
    """How far two models agreed, and what was wanted.

    Attributes:
        f1: share of objects both found.
        score_differences: of those objects.
        allowed: most that 95 of 100 of them may be.
    """

    f1: float
    wanted: float
    score_differences: Sequence[float]
    allowed: float


def save(
    path: Path, *, bins: Rows, robots: Rows, classes: Rows, agreed: Agreed | None = None
) -> None:
    """Draw what was judged, a panel each; no display is needed.

    Args:
        path: of the PNG.
        bins: rows of ``_people.by_distance``.
        robots: rows of ``_people.Judged``.
        classes: rows of class, reference and candidate.
        agreed: how far the two agreed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[Callable[[Any], None]] = []
    if agreed is not None:
        panels.append(lambda axes: _agreement(axes, agreed))
    if bins:
        panels.append(lambda axes: _recall(axes, bins, robots))
    if classes:
        panels.append(lambda axes: _precision(axes, classes))
    figure = Figure(figsize=(9, 4 * len(panels)), layout='constrained')
    for axes, draw in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        draw(axes)
    with files.whole(path) as part:
        FigureCanvasAgg(figure).print_figure(str(part), dpi=110, format='png')


def _agreement(axes: Any, agreed: Agreed) -> None:
    most = max([agreed.allowed, *agreed.score_differences])
    edges = [1.05 * most * i / 40 for i in range(41)]
    axes.hist(agreed.score_differences, bins=edges, color=COLOURS['candidate'])
    axes.axvline(agreed.allowed, color='black', linestyle='--', label='95 of 100 allowed to here')
    axes.set(
        xlabel='difference of the two scores of an object',
        ylabel='objects both found',
        title=f'objects agree to {agreed.f1:.4f}, wanted {agreed.wanted:g}',
    )
    axes.legend(loc='upper right')


def _recall(axes: Any, bins: Rows, robots: Rows) -> None:
    rows = [row for row in bins if row['people']]
    for side, (name, colour) in zip((-1, 1), COLOURS.items(), strict=True):
        x = [_middle(row) + side * 0.04 * (_of(row, 'to_m') - _of(row, 'from_m')) for row in rows]
        y = [_of(row, name) for row in rows]
        below = [_of(row, name) - _of(row, f'{name}_low') for row in rows]
        above = [_of(row, f'{name}_high') - _of(row, name) for row in rows]
        axes.errorbar(
            x, y, yerr=[[max(0.0, v) for v in below], [max(0.0, v) for v in above]],
            fmt='o-', capsize=4, color=colour, label=name,
        )  # fmt: skip
    for row in bins:
        axes.text(_middle(row), 0.015, f'n={row["people"]}', ha='center', fontsize='small')
        axes.axvline(_of(row, 'from_m'), color='#dddddd', linewidth=0.8, zorder=0)
    for i, row in enumerate(robots):
        where = _of(row, 'within_m')
        axes.axvline(where, color='black', linestyle=('--', ':', '-.')[i % 3])
        axes.annotate(
            f'{row["robot"]}: must see within {where:.2f} m, {row["verdict"]}',
            (where, 0.44 - 0.075 * (i % 6)), xytext=(4, 0), textcoords='offset points',
            fontsize='small', bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 1},
        )  # fmt: skip
    axes.set(
        xlim=(_of(bins[0], 'from_m'), _of(bins[-1], 'to_m')),
        ylim=(0, 1.02),
        xlabel='distance of the person, m',
        ylabel='recall, with its interval',
        title='people found, each model at its own score threshold',
    )
    axes.legend(loc='lower right')


def _precision(axes: Any, classes: Rows) -> None:
    for side, (name, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        heights = [_of(row, name) for row in classes]
        bars = axes.bar(
            [i + side for i in range(len(classes))], heights, 0.38, color=colour, label=name
        )
        labels = ['' if math.isnan(height) else f'{height:.3f}' for height in heights]
        axes.bar_label(bars, labels, fontsize='small')
    axes.set(
        xticks=range(len(classes)),
        xticklabels=[str(row['class']) for row in classes],
        ylim=(0, 1.3),
        yticks=[0, 0.2, 0.4, 0.6, 0.8, 1],
        ylabel='AP at IoU 0.5',
        title='average precision',
    )
    axes.legend(loc='upper right', ncols=2)


def _of(row: Mapping[str, Value], name: str) -> float:
    return float(row.get(name, math.nan))


def _middle(row: Mapping[str, Value]) -> float:
    return (_of(row, 'from_m') + _of(row, 'to_m')) / 2
