"""Tables on the terminal and in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from training.errors import DataError
from training.evaluate.drift import LIMIT, STATISTICS, Drift
from training.evaluate.verdicts import Means, Verdict

COLUMNS: Final = (
    "psnr_frame",
    "psnr_head",
    "psnr_mouth",
    "psnr_open",
    "psnr_eyes",
    "ssim_mouth",
    "ssim_open",
    "msssim_open",
    "gmsd_open",
    "ssim_eyes",
    "akd_all",
    "akd_mouth",
    "akd_eyes",
    "akd_iris",
    "corr_lips",
    "corr_lids",
    "sharp_mouth",
    "sharp_eyes",
    "move",
    "jitter",
    "missed",
)


def print_means(console: Console, means: Means, title: str) -> None:
    """One row per measure, one column per system, means over clips."""
    systems = list(next(iter(means.values())))
    table = Table("measure", *systems, title=title)
    for kind in COLUMNS:
        cells = []
        for name in systems:
            values = [clip[name][kind] for clip in means.values() if kind in clip.get(name, {})]
            cells.append(figure(kind, float(np.mean(values))) if values else "–")
        table.add_row(kind, *cells)
    console.print(table)


def print_clips(console: Console, means: Means, system: str, baseline: str) -> None:
    """One row per clip: PSNR of a system, and how far it is above a baseline."""
    kinds = ("psnr_frame", "psnr_head", "psnr_mouth", "psnr_open", "psnr_eyes")
    table = Table("clip", *kinds, title=f"{system} (and above {baseline})")
    for clip, systems in means.items():
        cells = []
        for kind in kinds:
            value = systems[system].get(kind)
            cells.append("–" if value is None else f"{value:.2f} ({value - systems[baseline][kind]:+.2f})")
        table.add_row(clip, *cells)
    console.print(table)


def print_verdicts(console: Console, lines: Sequence[Verdict], title: str) -> None:
    """What was asked, what came out, and whether that is enough."""
    table = Table("", "target", "measured", "95 % interval", "", title=title)
    for line in lines:
        interval = f"{line.low:+.3f} … {line.high:+.3f}"
        table.add_row(line.what, line.target, f"{line.value:+.3f}", interval, "met" if line.met else "MISSED")
    console.print(table)


def print_drift(console: Console, drifts: Mapping[str, Drift], frames: int) -> None:
    """One row per clip, one column per statistic."""
    table = Table("clip", *STATISTICS, title=f"drift after {frames} frames (limit {LIMIT:.0%})")
    for name, one in drifts.items():
        table.add_row(name, *(f"{one.last[kind]:.2%}{'' if one.last[kind] <= LIMIT else ' !'}" for kind in STATISTICS))
    console.print(table)


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Writes everything as JSON.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def figure(kind: str, value: float) -> str:
    """A measure with as many digits as tell something."""
    if kind.startswith("psnr"):
        return f"{value:.2f}"
    return f"{value:.4f}" if kind.startswith(("akd", "gmsd")) else f"{value:.3f}"
