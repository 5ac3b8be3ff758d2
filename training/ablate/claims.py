"""What is claimed, and the rule that decides whether it reproduces.

Source of the claims: AAPT, arXiv 2506.09350, §3.3 and §4; the one about discriminators: AAD-1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final, Literal

from scipy import stats

from training.ablate.measures import Measures

Outcome = Literal["reproduces", "does not", "within noise"]
Measure = Literal["late", "motion", "followed", "jitter"]
Results = Mapping[str, Mapping[int, Measures]]
"""Arm → seed → what was measured."""

CONFIDENCE: Final = 0.95
LEAST: Final = 1.05
"""Ratio below which a difference does not matter, however certain it is."""
FLOOR: Final = 1e-4
"""A measure smaller than this counts as this much: ratios need it."""
HIGHER: Final = ("motion", "followed")
"""Measures of which the claims want more; of the others, less."""


@dataclass(frozen=True)
class Claim:
    """One arm is better than another in one measure.

    Attributes:
        about: what the two differ in.
        says: the claim.
        measure: name of an attribute of `Measures`.
        better: arm that should win.
        worse: arm that should lose.
    """

    about: str
    says: str
    measure: Measure
    better: str
    worse: str


@dataclass(frozen=True)
class Verdict:
    """A claim, judged.

    Attributes:
        claim: which.
        better: of each seed that both arms have, the measure of the arm that should win.
        worse: of the same seeds, of the arm that should lose.
        ratio: by how much the claimed winner wins, geometric mean over seeds; 1 = not at all, below = it loses.
        low, high: the interval of `ratio`.
        outcome: of the rule.
    """

    claim: Claim
    better: tuple[float, ...]
    worse: tuple[float, ...]
    ratio: float
    low: float
    high: float
    outcome: Outcome


CLAIMS: Final = (
    Claim("forcing", "trained after true frames, the student drifts", "late", "student", "teacher-forced"),
    Claim("recycled frame", "without it, motion is small", "motion", "student", "no-recycle"),
    Claim("recycled frame", "without it, motion follows less", "followed", "student", "no-recycle"),
    Claim("recycled frame", "without it, the picture trembles", "jitter", "student", "no-recycle"),
    Claim("rollout length", "2 segments drift less than 1", "late", "twice", "student"),
    Claim("rollout length", "6 segments drift less than 1", "late", "six-times", "student"),
    Claim(
        "discriminator", "a causal one, with a logit per frame, makes static video", "motion", "bidirectional", "causal"
    ),
    Claim("cache", "without it, the picture trembles", "jitter", "student", "no-cache"),
)


def judged(claim: Claim, results: Results) -> Verdict | None:
    """Compares two arms, seed by seed; None where they have no seed in common.

    The logarithms of the ratios of all seeds have a mean and, by Student's t, a 95 % interval. The claim reproduces if
    the interval is above 1 and the mean at least `LEAST`; it does not if the whole interval is below `LEAST`; otherwise
    the seeds differ more than the arms, and more of them may tell. Pairs, as arms of one seed share their beginning.
    """
    seeds = sorted(set(results.get(claim.better, {})) & set(results.get(claim.worse, {})))
    if not seeds:
        return None
    better, worse = (
        tuple(float(getattr(results[arm][seed], claim.measure)) for seed in seeds)
        for arm in (claim.better, claim.worse)
    )
    sign = 1 if claim.measure in HIGHER else -1
    gains = [sign * math.log(max(a, FLOOR) / max(b, FLOOR)) for a, b in zip(better, worse, strict=True)]
    mean, half = fmean(gains), _half_width(gains)
    least = math.log(LEAST)
    outcome: Outcome = "within noise"
    if mean - half > 0 and mean >= least:
        outcome = "reproduces"
    elif mean + half < least:
        outcome = "does not"
    return Verdict(claim, better, worse, math.exp(mean), math.exp(mean - half), _exp(mean + half), outcome)


def verdicts(results: Results, claims: Sequence[Claim] = CLAIMS) -> list[Verdict]:
    """Of every claim that something was measured for."""
    return [verdict for claim in claims if (verdict := judged(claim, results)) is not None]


def _half_width(values: Sequence[float]) -> float:
    """Of the interval of the mean; endless for a single value."""
    if len(values) < 2:
        return math.inf
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def _exp(x: float) -> float:
    return math.inf if x > 700 else math.exp(x)
