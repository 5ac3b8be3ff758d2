"""Whether the model beats the warp: region by region, in the mean over clips and on every single clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from training.evaluate.reenactment import Reenactment
from training.evaluate.systems import BASELINES, MODEL, NO_CACHE, NO_RECYCLE, WARP

Means = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Clip → system → measure → mean over frames."""

JITTER: Final = "jitter"
RESAMPLED: Final = 10_000
WORST_DB: Final = -0.05
HIGHER: Final = ("psnr", "ssim", "msssim", "corr")
"""Measures of which more is better; of the others, less is."""


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    Attributes:
        what: is asked.
        target: in words.
        value: measured, mean over clips; NaN where no clip has it.
        low, high: 95 % bootstrap interval over clips.
        met: whether the target is reached.
    """

    what: str
    target: str
    value: float
    low: float
    high: float
    met: bool


def means_of(clips: Sequence[Reenactment]) -> dict[str, dict[str, dict[str, float]]]:
    """Of all clips, plain values."""
    return {clip.name: {name: one.means() for name, one in clip.performances.items()} for clip in clips}


def verdicts(means: Means) -> list[Verdict]:
    """Every line of the comparison that can be made of what was measured."""
    lines = [
        _gain(means, "open mouth, PSNR", "psnr_open", "difference", 0.5),
        _gain(means, "open mouth, SSIM", "ssim_open", "difference", 0.0),
        _gain(means, "open mouth, MS-SSIM", "msssim_open", "difference", 0.0),
        _gain(means, "open mouth, GMSD", "gmsd_open", "difference", 0.0),
        _gain(means, "eyes, PSNR", "psnr_eyes", "difference", 0.3),
        _gain(means, "mouth, AKD", "akd_mouth", "ratio", 0.92),
        _gain(means, "eyes, AKD", "akd_eyes", "ratio", 0.95),
        _gain(means, "iris, error", "akd_iris", "ratio", 0.90),
    ]
    lines.append(_worst(means))
    lines.append(_level(means, "mouth, sharpness of the truth's", "sharp_mouth", 0.9, None))
    lines.append(_level(means, "frame-to-frame change of the truth's", "move", 0.9, 1.1))
    return [line for line in lines if not np.isnan(line.value)]


def stability_lines(means: Means) -> list[Verdict]:
    """Jitter before a still driver: against the warp, and against the same model without its memory."""
    lines = []
    for other in (WARP, NO_RECYCLE, NO_CACHE):
        pairs = [
            (systems[MODEL][JITTER], systems[other][JITTER])
            for systems in means.values()
            if JITTER in systems.get(other, {})
        ]
        if pairs:
            mine, others = (float(np.mean(values)) for values in zip(*pairs, strict=True))
            value = mine / max(others, 1e-9)
            low, high = bootstrap([a / max(b, 1e-9) for a, b in pairs])
            lines.append(Verdict("still driver, jitter", f"≤ 1 × {other}", value, low, high, value <= 1))
    return lines


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean, clips drawn with replacement."""
    drawn = np.random.default_rng(seed).choice(np.asarray(values), (RESAMPLED, len(values)))
    low, high = np.percentile(drawn.mean(1), (2.5, 97.5))
    return float(low), float(high)


def better(systems: Mapping[str, Mapping[str, float]], kind: str) -> float:
    """The better of the baselines in one measure."""
    values = [systems[name][kind] for name in BASELINES if kind in systems[name]]
    return max(values) if kind.startswith(HIGHER) else min(values)


def _gain(means: Means, what: str, kind: str, how: Literal["difference", "ratio"], target: float) -> Verdict:
    """Against the baseline that is better in the mean over clips."""
    clips = [systems for systems in means.values() if kind in systems[MODEL]]
    if not clips:
        return Verdict(what, "", np.nan, np.nan, np.nan, False)
    higher = kind.startswith(HIGHER)
    average = {name: float(np.mean([systems[name][kind] for systems in clips])) for name in BASELINES}
    rival = (max if higher else min)(average, key=lambda name: average[name])
    pairs = [(systems[MODEL][kind], systems[rival][kind]) for systems in clips]
    if how == "ratio":
        values = [mine / max(other, 1e-9) for mine, other in pairs]
        value = float(np.mean([mine for mine, _ in pairs]) / max(average[rival], 1e-9))
        met, words = value <= target, f"≤ {target:g} × {rival}"
    else:
        sign = 1 if higher else -1
        values = [mine - other for mine, other in pairs]
        value = float(np.mean(values))
        met = value * sign >= target if target else value * sign > 0
        words = f"≥ {target:+g} over {rival}" if target else f"{'>' if higher else '<'} {rival}"
    return Verdict(what, words, value, *bootstrap(values), met)


def _worst(means: Means) -> Verdict:
    """No region of any clip may fall behind."""
    gains = [
        (systems[MODEL][kind] - better(systems, kind), f"{clip}, {kind.removeprefix('psnr_')}")
        for clip, systems in means.items()
        for kind in systems[MODEL]
        if kind.startswith("psnr_")
    ]
    value, where = min(gains)
    return Verdict(
        f"worst region of any clip, PSNR ({where})", f"≥ {WORST_DB} dB", value, value, value, value >= WORST_DB
    )


def _level(means: Means, what: str, kind: str, least: float, most: float | None) -> Verdict:
    values = [systems[MODEL][kind] for systems in means.values() if kind in systems[MODEL]]
    value = float(np.mean(values))
    met = value >= least and (most is None or value <= most)
    words = f"≥ {least:g}" if most is None else f"{least:g} to {most:g}"
    return Verdict(what, words, value, *bootstrap(values), met)
