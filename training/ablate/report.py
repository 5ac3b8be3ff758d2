"""The ablation as a table on the terminal, and as a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from training.ablate.claims import CONFIDENCE, LEAST, Results, Verdict
from training.ablate.measures import Measures
from training.errors import DataError

COLUMNS: Final = ("late", "motion", "followed", "jitter", "spread")
ENDLESS: Final = 100.0
"""Bounds of a ratio beyond this are not worth their digits."""
STYLES: Final = {"reproduces": "green", "does not": "red", "within noise": "yellow"}


@dataclass(frozen=True)
class Ablation:
    """What has come out.

    Attributes:
        config: sizes, as plain values.
        results: arm → seed → measures.
        verdicts: of every claim that something was measured for.
        finished: whether all arms and seeds are in.
    """

    config: Mapping[str, Any]
    results: Results
    verdicts: Sequence[Verdict]
    finished: bool

    @property
    def seeds(self) -> int:
        """That any arm has."""
        return len({seed for by_seed in self.results.values() for seed in by_seed})


def print_ablation(console: Console, ablation: Ablation) -> None:
    """What every arm is like, and what becomes of every claim."""
    table = Table(title="arms: mean ± deviation over seeds")
    for header in ("arm", "seeds", *COLUMNS):
        table.add_column(header, no_wrap=header == "arm")
    for name, by_seed in ablation.results.items():
        cells = [spread([getattr(one, column) for one in by_seed.values()]) for column in COLUMNS]
        table.add_row(name, str(len(by_seed)), *cells)
    console.print(table)
    if not ablation.verdicts:
        return
    rule = f"{CONFIDENCE:.0%} interval of the paired ratio; less than {LEAST:g} does not matter"
    lines = Table("claim", title=rule)
    for header in ("should win", "should lose", "ratio", ""):
        lines.add_column(header, no_wrap=True)
    for one in ablation.verdicts:
        claim = one.claim
        lines.add_row(
            f"{claim.about}: {claim.says} ({claim.measure})",
            f"{claim.better}\n{spread(one.better)}",
            f"{claim.worse}\n{spread(one.worse)}",
            f"{one.ratio:.2f}\n{bounds(one)}",
            f"[{STYLES[one.outcome]}]{one.outcome}[/]",
        )
    console.print(lines)


def save(path: Path, ablation: Ablation) -> None:
    """Writes everything as JSON.

    Raises:
        DataError: it cannot be written.
    """
    content = {
        "config": ablation.config,
        "finished": ablation.finished,
        "rule": {"confidence": CONFIDENCE, "least_ratio": LEAST},
        "arms": {
            name: {str(seed): one.to_dict() for seed, one in by_seed.items()}
            for name, by_seed in ablation.results.items()
        },
        "claims": [_plain(one) for one in ablation.verdicts],
    }
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def spread(values: Sequence[float]) -> str:
    """Mean ± deviation."""
    mean = f"{fmean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {stdev(values):.3f}"


def bounds(verdict: Verdict) -> str:
    """The interval."""
    if math.isinf(verdict.high):
        return "one seed"
    high = f"{verdict.high:.2f}" if verdict.high < ENDLESS else f"> {ENDLESS:g}"
    return f"{verdict.low:.2f} … {high}"


def mean_curve(by_seed: Mapping[int, Measures]) -> tuple[list[float], list[float], list[float]]:
    """Mean, least and largest error over seeds, frame by frame."""
    columns = list(zip(*(one.error for one in by_seed.values()), strict=True))
    return [fmean(c) for c in columns], [min(c) for c in columns], [max(c) for c in columns]


def _plain(verdict: Verdict) -> dict[str, Any]:
    """Without an infinity, which JSON does not know."""
    values = asdict(verdict)
    return {**values, "low": verdict.low, "high": None if math.isinf(verdict.high) else verdict.high}
