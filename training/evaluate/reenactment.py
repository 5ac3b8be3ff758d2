"""Renders a clip with every system at once, and measures what comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.engine import Avatar, Engine, EngineConfig
from avatar_sdk.motion import MotionConfig, Neutral
from avatar_sdk.runtime.protocol import Runtime
from training.evaluate.landmarks import LandmarkFinder
from training.evaluate.measures import Truth, measure, openings
from training.evaluate.reel import VIEW_PX, Reel

Pixels = NDArray[np.uint8]

SHEET_MOMENTS: Final = 8
CHANGE: Final = "change"
TRUE_CHANGE: Final = "true change"
SELF_DRIVEN: Final = MotionConfig(neutral=Neutral.FIRST, smoothing=None, idle=False)
"""The first pose is the portrait's own; nothing hides an error by smoothing it."""


@dataclass
class Performance:
    """What one system made of one clip.

    Attributes:
        values: measure → value of each measured frame that has it.
        frames: measure → which frames those are.
        missed: share of measured frames in which no face is found.
    """

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    frames: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    missed: float = 0.0

    def means(self) -> dict[str, float]:
        """Measure → mean over frames; "move" is the mean frame-to-frame change over the truth's."""
        means = {name: float(np.mean(seen)) for name, seen in self.values.items() if seen}
        if CHANGE in means:
            means["move"] = means.pop(CHANGE) / max(means.pop(TRUE_CHANGE), 1e-6)
        return means | {"missed": self.missed}


@dataclass
class Reenactment:
    """All systems on one clip.

    Attributes:
        name: of the clip.
        performances: by system.
        measured: how many frames were measured.
        sheet: rows of the contact sheet: the truth, then each system; each (H, W, 3) uint8 RGB.
    """

    name: str
    performances: dict[str, Performance]
    measured: int
    sheet: dict[str, Pixels]


@contextmanager
def cast(
    reel: Reel, runtimes: Mapping[str, Runtime], motion: MotionConfig
) -> Iterator[dict[str, tuple[Engine, Avatar]]]:
    """Opens one avatar per system; closes them all."""
    with ExitStack() as stack:
        actors = {}
        for name, runtime in runtimes.items():
            engine = Engine(runtime, EngineConfig(model=name, slots=1))
            avatar = engine.open(reel.portrait, motion)
            stack.callback(engine.close, avatar)
            actors[name] = (engine, avatar)
        yield actors


def reenact(
    reel: Reel,
    runtimes: Mapping[str, Runtime],
    find: LandmarkFinder,
    step: int = 3,
    on_frame: Callable[[int], None] | None = None,
) -> Reenactment:
    """Every system renders every frame; each `step`-th is measured at 256×256.

    Frames in which the truth shows no face are left out; one without a face in the avatar counts as missed.
    """
    performances = {name: Performance() for name in runtimes}
    misses, measured = dict.fromkeys(runtimes, 0), 0
    strips: dict[str, list[Pixels]] = {name: [] for name in ("truth", *runtimes)}
    shown = set(np.linspace(1, len(reel) - 1, SHEET_MOMENTS).round().astype(int).tolist())
    gaps: dict[str, list[dict[str, float]]] = {name: [] for name in ("truth", *runtimes)}
    before: dict[str, Pixels] = {}
    with cast(reel, runtimes, SELF_DRIVEN) as actors:
        for k, pose in enumerate(reel.poses):
            full = {
                name: engine.step(avatar, pose, pose.timestamp_us).image for name, (engine, avatar) in actors.items()
            }
            if k in shown:
                strips["truth"].append(reel.truth(k))
                for name, image in full.items():
                    strips[name].append(reduced(image))
            wanted = k % step == 0 and k > 0
            if wanted or (k + 1) % step == 0:
                now = {"truth": reel.truth(k)} | {name: reduced(image) for name, image in full.items()}
                seen = find(now["truth"]) if wanted else None
                if seen is not None:
                    measured += 1
                    truth = Truth.of(now["truth"], seen)
                    head = truth.masks["head"]
                    moved = _change(now["truth"], before["truth"], head)
                    found = {name: find(now[name]) for name in runtimes}
                    for name, performance in performances.items():
                        values = measure(truth, now[name], found[name])
                        values |= {CHANGE: _change(now[name], before[name], head), TRUE_CHANGE: moved}
                        misses[name] += found[name] is None
                        for kind, value in values.items():
                            performance.values[kind].append(value)
                            performance.frames[kind].append(k)
                    for name, points in {"truth": seen, **found}.items():
                        if all(one is not None for one in found.values()) and points is not None:
                            gaps[name].append(openings(points))
                before = now
            if on_frame:
                on_frame(k + 1)
    for name, performance in performances.items():
        performance.missed = misses[name] / max(1, measured)
        for part in ("lips", "lids"):
            performance.values[f"corr_{part}"] = _correlation(gaps["truth"], gaps[name], part)
    sheet = {name: np.concatenate(cells, 1) for name, cells in strips.items()}
    return Reenactment(reel.name, performances, measured, sheet)


def reduced(image: Pixels) -> Pixels:
    """(256, 256, 3): an avatar's picture at the measured size."""
    return np.asarray(cv2.resize(image, (VIEW_PX, VIEW_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _change(now: Pixels, before: Pixels, mask: NDArray[np.bool_]) -> float:
    return float(np.abs(now[mask].astype(np.float32) - before[mask]).mean())


def _correlation(true: list[dict[str, float]], made: list[dict[str, float]], part: str) -> list[float]:
    x, y = (np.array([one[part] for one in gaps]) for gaps in (true, made))
    if len(x) < 4 or min(x.std(), y.std()) < 1e-4:
        return []
    return [float(np.corrcoef(x, y)[0, 1])]
