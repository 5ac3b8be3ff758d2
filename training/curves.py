"""The curves of a run: what every stage has logged, one panel each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from training.errors import DataError
from training.run import LOG

STAGES: Final = ("codec", "adapt", "distill", "adversarial")
SMOOTHED: Final = 0.1
"""Share of a curve over which it is averaged."""
WARP: Final = "warp_l1"


def plot_curves(run: Path, path: Path) -> list[str]:
    """Draws every stage's loss, latent error and picture error over steps; returns the stages that there are.

    Errors of pictures are shown as shares of the warp's own.

    Raises:
        DataError: the run has no curve, a curve is damaged, or the picture cannot be written.
    """
    curves = {stage: _read(run / stage / LOG) for stage in STAGES if (run / stage / LOG).is_file()}
    if not curves:
        raise DataError(f"{run} holds no {LOG} of any stage; train first, or give another --run")
    figure, axes = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3), squeeze=False, layout="constrained")
    for axis, (stage, rows) in zip(axes[0], curves.items(), strict=True):
        steps = np.array([row["step"] for row in rows])
        shown: dict[str, NDArray[np.float64]]
        shown = {name: np.array([row[name] for row in rows]) for name in ("loss", "latent") if name in rows[0]}
        if WARP in rows[0]:
            shown["picture / warp"] = np.array([row["l1"] / row[WARP] for row in rows])
        for name, values in shown.items():
            (line,) = axis.plot(steps, values, linewidth=0.6, alpha=0.3)
            axis.plot(steps, _smooth(values), color=line.get_color(), label=name)
        axis.set_title(f"{stage}: {steps[-1]} steps, {rows[-1]['seconds'] / 60:.0f} min", fontsize=9)
        axis.set_xlabel("step")
        axis.set_yscale("log")
        axis.legend(fontsize=7)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=80)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        plt.close(figure)
    return list(curves)


def _read(path: Path) -> list[dict[str, float]]:
    try:
        rows: list[dict[str, float]] = [json.loads(line) for line in path.read_text().splitlines() if line]
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty; the stage has not logged a step yet")
    return rows


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a window that is cut off at both ends."""
    half = round(SMOOTHED * len(values) / 2)
    return np.array([values[max(0, k - half) : k + half + 1].mean() for k in range(len(values))])
