"""Whether a candidate still finds the people a robot must see in time, and how sure that is.

**Where.** A person further away than the robot needs to stop is somebody else's problem for now.
Within ``range_for_stopping`` (`guard/deadline.py`) at v_cap, on a prediction as old as the
watchdog lets through at that speed, a person who is not seen is hit. Distances are those of the
labels, from the robot; what its footprint overhangs is in the profile's margin. People whose
labels are ignored are not asked for.

**How.** Reference and candidate see the same people, so the comparison is paired: of n people
within the distance some are *lost* (found by the reference only) and some *gained*. The loss of
recall is (lost - gained)/n. Two rules decide:

* the loss measured is above what is allowed: **refused**. No statistics excuses what was seen.
* its one-sided upper confidence bound is above what is allowed: **inconclusive**. These pictures
  do not show that the loss is small. That is refused too, unless explicitly allowed.

Why not the measurement alone: of 30 people, a model that loses one in fifty loses none in every
second trial. Why not the bound alone: it could not tell "shown to be worse" from "too few people
to know", and the remedies differ (another model; more pictures). The bound is Tango's score bound
for paired shares (Statistics in Medicine 17, 891, 1998), which holds where nobody is lost: then it
is z²/(n + z²), so 0.01 at 95 % takes 268 people, and more if some are lost and others gained.
People in consecutive frames of a recording are not independent; n is then larger than what was
learnt. An absolute least recall is judged the same way: refused if the recall is below it,
inconclusive if Wilson's one-sided lower bound is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_inference_ros.core.report import Value
from edge_inference_ros.guard.deadline import deadline, range_for_stopping
from edge_inference_ros.guard.robot import RobotProfile
from edge_inference_ros.optimize.judge import score
from edge_inference_ros.optimize.judge.labels import F32, Truth
from edge_inference_ros.optimize.judge.score import Found

PASSED, REFUSED, INCONCLUSIVE = 'passed', 'REFUSED', 'INCONCLUSIVE'
_HALVINGS = 60

Kind = TypeVar('Kind', bound=np.generic)


@dataclass(frozen=True)
class Seen:
    """Every person asked for, in the order of the pictures.

    Attributes:
        distance_m: (P,).
        by_reference: (P,) found by it.
        by_candidate: (P,) found by it.
        false_reference: people it reported that are none, per picture.
        false_candidate: the same.
    """

    distance_m: F32
    by_reference: NDArray[np.bool_]
    by_candidate: NDArray[np.bool_]
    false_reference: float
    false_candidate: float


@dataclass(frozen=True)
class PeopleLimits:
    """What is asked of a candidate.

    Attributes:
        recall_loss: most that may be lost.
        least_recall: 0 asks nothing.
        confidence: of the bounds, one-sided.
    """

    recall_loss: float = 0.01
    least_recall: float = 0.0
    confidence: float = 0.95


@dataclass(frozen=True)
class Judged:
    """The people within a distance, and what follows."""

    robot: str
    within_m: float
    people: int
    reference: float
    candidate: float
    lost: int
    gained: int
    loss_bound: float
    least_bound: float
    verdict: str
    why: str

    def row(self) -> dict[str, Value]:
        """As a row of a table; shares of nobody are left out."""
        row: dict[str, Value] = {
            'robot': self.robot, 'within_m': self.within_m, 'people': self.people,
        }  # fmt: skip
        if self.people:
            row |= {'recall_reference': self.reference, 'recall_candidate': self.candidate}
        row |= {
            'lost': self.lost, 'gained': self.gained, 'loss_at_most': self.loss_bound,
            'recall_at_least': self.least_bound, 'verdict': self.verdict,
        }  # fmt: skip
        return row


def needed_m(robot: RobotProfile) -> float:
    """Distance within which a person must be seen by a robot at its highest speed.

    The age of the prediction is the deadline there; where that is shorter than any pipeline can
    be, what a pipeline can be.
    """
    age_s = max(deadline(robot, robot.v_cap_mps, 0.0).limit_s, robot.deadline_floor_s)
    return range_for_stopping(robot, robot.v_cap_mps, age_s)


def seen(
    reference: Sequence[Found], candidate: Sequence[Found], truth: Truth, *, person: str
) -> Seen:
    """Who was found by which.

    Args:
        reference: what it reports in the first pictures, at its own threshold.
        candidate: the same pictures.
        truth: their labels.
        person: the class that people are.
    """
    in_reference = list(score.people_matches(reference, truth, 0.0, person=person))
    in_candidate = list(score.people_matches(candidate, truth, 0.0, person=person))
    pictures = max(1, len(in_reference))
    return Seen(
        _joined([distance for _, distance, _ in in_reference], np.float32),
        _joined([hit for hit, _, _ in in_reference], np.bool_),
        _joined([hit for hit, _, _ in in_candidate], np.bool_),
        sum(false for _, _, false in in_reference) / pictures,
        sum(false for _, _, false in in_candidate) / pictures,
    )


def judge(seen_: Seen, limits: PeopleLimits, *, robot: str, within_m: float) -> Judged:
    """Hold the people nearer than ``within_m`` against the limits; see the module's text."""
    near = seen_.distance_m < within_m
    reference, candidate = seen_.by_reference[near], seen_.by_candidate[near]
    n, lost, gained = (
        len(reference),
        int((reference & ~candidate).sum()),
        int((candidate & ~reference).sum()),
    )
    recalls = (float(reference.mean()), float(candidate.mean())) if n else (math.nan, math.nan)
    bound = loss_bound(lost, gained, n, confidence=limits.confidence)
    least = wilson(int(candidate.sum()), n, confidence=2 * limits.confidence - 1)[0]
    verdict, why = _verdict(
        limits,
        n,
        loss=(lost - gained) / max(n, 1),
        recall=recalls[1],
        bound=bound,
        least=least,
    )
    where = f'{robot}: of {n} people within {within_m:.2f} m '
    return Judged(
        robot,
        within_m,
        n,
        *recalls,
        lost,
        gained,
        bound,
        least,
        verdict,
        where + why if why else '',
    )


def _verdict(
    limits: PeopleLimits, n: int, *, loss: float, recall: float, bound: float, least: float
) -> tuple[str, str]:
    if n and loss > limits.recall_loss:
        return REFUSED, f'{loss:.4f} are lost, allowed {limits.recall_loss}'
    if n and recall < limits.least_recall:
        return REFUSED, f'{recall:.4f} are found, wanted {limits.least_recall}'
    if not bound <= limits.recall_loss:
        return INCONCLUSIVE, (
            f'up to {bound:.4f} may be lost, allowed {limits.recall_loss}:'
            ' INCONCLUSIVE, label more pictures with people that near'
        )
    if not least >= limits.least_recall:
        return INCONCLUSIVE, (
            f'as few as {least:.4f} may be found, wanted {limits.least_recall}:'
            ' INCONCLUSIVE, label more pictures with people that near'
        )
    return PASSED, ''


def by_distance(
    seen_: Seen, edges_m: Sequence[float], *, confidence: float
) -> list[dict[str, Value]]:
    """Recall of both, a row a bin, with Wilson's two-sided intervals."""
    rows: list[dict[str, Value]] = []
    for low, high in pairwise(edges_m):
        inside = (seen_.distance_m >= low) & (seen_.distance_m < high)
        n = int(inside.sum())
        row: dict[str, Value] = {'from_m': low, 'to_m': high, 'people': n}
        for name, found in (
            ('reference', seen_.by_reference),
            ('candidate', seen_.by_candidate),
        ):
            if n:
                hits = int(found[inside].sum())
                least, most = wilson(hits, n, confidence=confidence)
                row |= {name: hits / n, f'{name}_low': least, f'{name}_high': most}
        rows.append(row)
    return rows


def wilson(hits: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share, two-sided; of nothing, all is possible."""
    if n == 0:
        return 0.0, 1.0
    z2 = _z((1 + confidence) / 2) ** 2
    centre, half = hits + z2 / 2, math.sqrt(z2 * (hits * (n - hits) / n + z2 / 4))
    return max(0.0, (centre - half) / (n + z2)), min(1.0, (centre + half) / (n + z2))


def loss_bound(lost: int, gained: int, n: int, *, confidence: float) -> float:
    """Tango's upper bound of the loss (lost - gained)/n, one-sided; of nobody, all may be lost.

    The greatest d in [-1, 1] at which (lost - gained - n d)/sqrt(n (2 q + d (1 - d))) >= -z, where
    q, the share of the gained, is the likeliest given d: the root of 2 n q² + B q + C = 0 with
    B = (2 n - lost + gained) d - lost - gained and C = -gained d (1 - d). The left side falls
    with d, so halving finds it.
    """
    if n == 0:
        return 1.0
    z = _z(confidence)

    def still_possible(d: float) -> bool:
        b = (2 * n - lost + gained) * d - lost - gained
        c = -gained * d * (1 - d)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        spread = math.sqrt(max(0.0, n * (2 * q + d * (1 - d))))
        return lost - gained - n * d >= -z * spread

    return _last(still_possible, (lost - gained) / n, 1.0)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where ``holds`` ceases between ``low``, where it does, and ``high``."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


def _joined(parts: list[NDArray[Kind]], kind: type[Kind]) -> NDArray[Kind]:
    return np.concatenate([*parts, np.empty(0, kind)])
