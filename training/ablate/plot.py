"""One picture with a panel per claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

from training.ablate.arms import ARMS
from training.ablate.claims import LEAST
from training.ablate.report import Ablation, mean_curve

BEGINNING: Final = "before stage 3"
COLOURS: Final = {
    BEGINNING: "0.6",
    "student": "tab:blue",
    "teacher-forced": "tab:red",
    "no-recycle": "tab:orange",
    "no-cache": "tab:brown",
    "twice": "tab:cyan",
    "six-times": "tab:green",
    "causal": "tab:purple",
    "bidirectional": "tab:olive",
}
OUTCOMES: Final = {"reproduces": "tab:green", "does not": "tab:red", "within noise": "0.5"}
AVERAGED: Final = 8
"""Frames of a curve that are averaged: one period of what the generator is told."""


def plot(ablation: Ablation, path: Path) -> None:
    """Error over time where drift is claimed, a point per seed where motion or stability is, and all ratios."""
    figure, axes = plt.subplots(2, 3, figsize=(12.5, 7), layout="constrained")
    _curves(axes[0][0], ablation, ("student", "teacher-forced"), "forcing")
    _points(axes[0][1], ablation, ("student", "no-recycle"), ("motion", "followed", "jitter"), "recycled frame")
    _curves(axes[0][2], ablation, ("student", "twice", "six-times"), "rollout length")
    _points(axes[1][0], ablation, ("causal", "bidirectional"), ("motion", "followed"), "discriminator")
    _points(axes[1][1], ablation, ("student", "no-cache"), ("jitter",), "cache")
    _ratios(axes[1][2], ablation)
    figure.suptitle(f"One drawn face, {ablation.seeds} seeds: what stage 3 does with and without", fontsize=10)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _curves(axis: Any, ablation: Ablation, arms: Sequence[str], about: str) -> None:
    """Error by frame; what lies between the seeds is shaded."""
    lengths = {arm.name: arm.walk.frames for arm in ARMS}
    for name in (BEGINNING, *arms):
        if name not in ablation.results:
            continue
        mean, low, high = (_averaged(curve) for curve in mean_curve(ablation.results[name]))
        frames = AVERAGED / 2 + np.arange(len(mean))
        axis.plot(frames, mean, label=name, color=COLOURS[name], linewidth=1.4)
        axis.fill_between(frames, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
        if name in lengths:
            axis.axvline(lengths[name], color=COLOURS[name], linestyle=":", linewidth=1)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("frame of the walk (dotted: walked in training)", fontsize=8)
    _finish(axis, ablation, about, "error against the truth (deviations)")


def _points(axis: Any, ablation: Ablation, arms: Sequence[str], measures: Sequence[str], about: str) -> None:
    """One group per measure, one column per arm, one point per seed; a bar is the mean."""
    shown = [name for name in (BEGINNING, *arms) if name in ablation.results]
    for column, measure in enumerate(measures):
        for place, name in enumerate(shown):
            values = [getattr(one, measure) for one in ablation.results[name].values()]
            x = column + 0.8 * (place + 0.5) / len(shown) - 0.4
            label = name if column == 0 else None
            axis.bar(x, np.mean(values), 0.7 / len(shown), color=COLOURS[name], alpha=0.45, label=label)
            axis.plot([x] * len(values), values, "o", color=COLOURS[name], markersize=4, markeredgecolor="black")
    axis.set_xticks(range(len(measures)), measures)
    axis.axhline(1, color="black", linestyle="--", linewidth=0.7)
    _finish(axis, ablation, about, "of the truth's")


def _ratios(axis: Any, ablation: Ablation) -> None:
    """How much the claimed winner wins by, with its interval."""
    names = []
    for row, one in enumerate(ablation.verdicts):
        colour = OUTCOMES[one.outcome]
        if not math.isinf(one.high):
            axis.plot([max(one.low, 1e-2), min(one.high, 1e2)], [row, row], color=colour, linewidth=2)
        axis.plot([one.ratio], [row], "o", color=colour)
        names.append(f"{one.claim.better} / {one.claim.worse}\n{one.claim.measure}: {one.outcome}")
    axis.axvspan(1 / LEAST, LEAST, color="0.85")
    axis.set_xscale("log")
    axis.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.invert_yaxis()
    axis.set_title("by how much the claimed one wins (grey: no matter)", fontsize=9)
    axis.tick_params(axis="x", which="both", labelsize=7)


def _finish(axis: Any, ablation: Ablation, about: str, unit: str) -> None:
    own = [one for one in ablation.verdicts if one.claim.about == about]
    by_measure = len({one.claim.measure for one in own}) == len(own)
    lines = [f"{one.claim.measure if by_measure else one.claim.better}: {one.outcome}" for one in own]
    axis.set_title(f"{about}\n{', '.join(lines) or 'not measured'}", fontsize=8)
    axis.set_ylabel(unit, fontsize=8)
    axis.tick_params(labelsize=7)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)


def _averaged(curve: Sequence[float]) -> Any:
    width = min(AVERAGED, len(curve))
    return np.convolve(curve, np.full(width, 1 / width), "valid")
