"""Pictures of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from training.evaluate.drift import LIMIT, STATISTICS, Drift
from training.evaluate.reenactment import Reenactment
from training.evaluate.systems import BASELINES, MODEL, STATIC

PANELS: Final = (
    ("psnr_mouth", "PSNR, mouth (dB)"),
    ("psnr_eyes", "PSNR, eyes (dB)"),
    ("akd_mouth", "AKD, mouth"),
    ("sharp_mouth", "sharpness, mouth"),
)
SHOWN: Final = (STATIC, *BASELINES, MODEL)


def plot_over_time(clips: Sequence[Reenactment], path: Path) -> None:
    """One row per clip, one column per measure, one line per system."""
    figure, axes = plt.subplots(
        len(clips), len(PANELS), figsize=(4 * len(PANELS), 2 * len(clips)), squeeze=False, layout="constrained"
    )
    for row, clip in zip(axes, clips, strict=True):
        for axis, (kind, title) in zip(row, PANELS, strict=True):
            for name in SHOWN:
                if name in clip.performances:
                    one = clip.performances[name]
                    axis.plot(one.frames[kind], one.values[kind], label=name, linewidth=1.4 if name == MODEL else 0.8)
            axis.set_title(f"{clip.name}: {title}", fontsize=8)
            axis.tick_params(labelsize=7)
    axes[0][0].legend(fontsize=7)
    axes[-1][0].set_xlabel("frame", fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def plot_drift(drifts: Mapping[str, Drift], path: Path) -> None:
    """One panel per statistic, one line per clip, the limit dashed."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for axis, kind in zip(axes.flat, STATISTICS, strict=True):
        for name, one in drifts.items():
            axis.plot(one.seconds, 100 * np.array(one.curves[kind]), label=name, linewidth=1)
        axis.axhline(100 * LIMIT, color="black", linestyle="--", linewidth=0.8)
        axis.set_title(f"{kind}: change since the beginning (%)", fontsize=9)
        axis.set_xlabel("seconds", fontsize=8)
    axes[0][0].legend(fontsize=7)
    figure.savefig(path, dpi=90)
    plt.close(figure)
