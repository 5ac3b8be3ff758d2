"""Before and after: two checkpoints and the warp on clips that neither has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from avatar_sdk.progress import progress
from avatar_sdk.runtime.warp import WarpRuntime
from training.evaluate import report
from training.evaluate.landmarks import LandmarkFinder
from training.evaluate.reel import Reel
from training.evaluate.reenactment import Reenactment, reenact
from training.evaluate.sheets import save_sheet, stacked
from training.evaluate.stillness import StillnessConfig, jitter
from training.evaluate.systems import WARP, runtime_of
from training.evaluate.verdicts import HIGHER, JITTER, Means, means_of

BEFORE: Final = "before"
AFTER: Final = "after"
NEAR_ONE: Final = ("sharp", "move")
"""Shares of the truth's: the nearer to 1 the better."""


@dataclass(frozen=True)
class ComparisonConfig:
    """What is measured.

    Attributes:
        step: every so many frames.
        stillness: how jitter before a still driver is measured; None = not.
    """

    step: int = 3
    stillness: StillnessConfig | None = field(default_factory=lambda: StillnessConfig(frames=36))


def compare(
    reels: Sequence[Reel], before: Path, after: Path, out: Path, config: ComparisonConfig, console: Console
) -> Means:
    """Prints a table; leaves `comparison.json` and a sheet `comparison.png` in `out`.

    The warp is the product's, with its painted mouth.

    Raises:
        DataError: `out` cannot be written.
        InvalidConfigError: a checkpoint cannot be used.
    """
    runtimes = {WARP: WarpRuntime(), BEFORE: runtime_of(str(before)), AFTER: runtime_of(str(after))}
    done: list[Reenactment] = []
    with LandmarkFinder() as find:
        still = {}
        for reel in reels:
            with progress(f"judging {reel.name}", len(reel)) as bar:
                done.append(reenact(reel, runtimes, find, config.step, bar))
            if config.stillness:
                still[reel.name] = jitter(reel, runtimes, find, config.stillness)
    means = means_of(done)
    for clip, values in still.items():
        for name, value in values.items():
            means[clip][name][JITTER] = value
    frames = sum(one.measured for one in done)
    console.print(table(means, f"held out: {len(reels)} clips, {frames} measured frames"))
    report.save(out / "comparison.json", {"means": means, "measured_frames": frames})
    sheets = [one.sheet for one in done]
    save_sheet(stacked(sheets) if len(sheets) > 1 else sheets[0], out / "comparison.png")
    return means


def table(means: Means, title: str) -> Table:
    """One row per measure: the warp, before, after, and whether that is better; means over clips."""
    shown = Table("measure", WARP, BEFORE, AFTER, "", title=title)
    for kind in report.COLUMNS:
        figures = {}
        for name in (WARP, BEFORE, AFTER):
            values = [clip[name][kind] for clip in means.values() if kind in clip.get(name, {})]
            if values:
                figures[name] = float(np.mean(values))
        if BEFORE in figures and AFTER in figures:
            cells = [report.figure(kind, figures[name]) if name in figures else "–" for name in (WARP, BEFORE, AFTER)]
            gain = gained(kind, figures[BEFORE], figures[AFTER])
            shown.add_row(kind, *cells, "same" if cells[1] == cells[2] else "better" if gain > 0 else "worse")
    return shown


def gained(kind: str, before: float, after: float) -> float:
    """By how much `after` is better; below 0 = worse."""
    if kind.startswith(NEAR_ONE):
        return abs(before - 1) - abs(after - 1)
    return after - before if kind.startswith(HIGHER) else before - after
