"""Drift: a clip played forth and back for long; frames of equal pose should look the same as at the beginning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from avatar_client.pose import Pose
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from avatar_sdk.runtime.protocol import Runtime
from training.evaluate.landmarks import LandmarkFinder
from training.evaluate.measures import Truth
from training.evaluate.reel import Reel
from training.evaluate.reenactment import SELF_DRIVEN, cast, reduced

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

STATISTICS: Final = ("L", "a", "b", "sharpness", "ssim", "shape")
LIMIT: Final = 0.02
LAB_RANGE: Final = 100.0
"""What a change of mean Lab is a share of: from black to white."""


@dataclass(frozen=True)
class DriftConfig:
    """How long, and what is compared.

    Attributes:
        frames: in all.
        period: frames of the clip that are played forth and back.
        begin_s: when the avatar counts as settled; the period from there on is what later ones are compared with.
        poses: how many poses of a period are looked at.
    """

    frames: int = 7200
    period: int = 96
    begin_s: float = 10.0
    poses: int = 12


@dataclass
class Drift:
    """How far each period is from the first.

    Attributes:
        seconds: of each period's beginning.
        curves: statistic → one value per period; a share, 0 = the same.
    """

    seconds: list[float] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STATISTICS})

    @property
    def last(self) -> dict[str, float]:
        """Statistic → at the end."""
        return {name: curve[-1] for name, curve in self.curves.items()}


def drift(
    reel: Reel,
    runtime: Runtime,
    find: LandmarkFinder,
    config: DriftConfig,
    on_frame: Callable[[int], None] | None = None,
) -> Drift:
    """Renders `config.frames` frames and compares, pose by pose.

    Colour: change of the head's mean in Lab over 100; sharpness: relative change of mean |Laplacian|; ssim: 1 − SSIM of
    the head; shape: mean distance of the landmarks without position, turn and size, over their spread.
    """
    half = min(config.period // 2, len(reel) - 1)
    there_and_back = [*range(half + 1), *range(half - 1, 0, -1)]
    period = len(there_and_back)
    begin = -(-round(config.begin_s * reel.fps) // period)
    chosen = np.unique(np.linspace(0, period - 1, config.poses).round().astype(int)).tolist()
    beginning: dict[int, _Look] = {}
    found = Drift()
    seen: dict[str, list[float]] = {name: [] for name in STATISTICS}
    with cast(reel, {"it": runtime}, SELF_DRIVEN) as actors:
        engine, avatar = actors["it"]
        for k in range(config.frames):
            lap, place = divmod(k, period)
            pose = reel.poses[there_and_back[place]]
            time_us = round(k * 1e6 / reel.fps)
            image = engine.step(avatar, Pose(time_us, pose.face) if pose.face_present else None, time_us).image
            if lap >= begin and place in chosen:
                _compare(reduced(image), place, beginning, seen, find)
            if place == period - 1 and lap > begin:
                found.seconds.append((k + 1) / reel.fps)
                for name, values in seen.items():
                    found.curves[name].append(float(np.mean(values)) if values else float("nan"))
                    values.clear()
            if on_frame:
                on_frame(k + 1)
    return found


@dataclass(frozen=True, eq=False)
class _Look:
    """One picture of the beginning and its statistics."""

    image: Pixels
    head: NDArray[np.bool_]
    lab: Floats
    sharpness: float
    shape: Floats


def _compare(
    image: Pixels, place: int, beginning: dict[int, _Look], seen: dict[str, list[float]], find: LandmarkFinder
) -> None:
    """Adds how far `image` is from the one of the same pose at the beginning, or makes it that one."""
    points = find(image)
    shape = None if points is None else _canonical(points)
    first = beginning.get(place)
    if first is None:
        if points is not None and shape is not None:
            head = Truth.of(image, points).masks["head"]
            beginning[place] = _Look(image, head, *_colour_and_sharpness(image, head), shape)
        return
    lab, sharpness = _colour_and_sharpness(image, first.head)
    for name, change in zip("Lab", np.abs(lab - first.lab) / LAB_RANGE, strict=True):
        seen[name].append(float(change))
    seen["sharpness"].append(abs(sharpness / first.sharpness - 1))
    similar = structural_similarity(image, first.image, channel_axis=2, full=True, data_range=255)[1].mean(-1)
    seen["ssim"].append(float(1 - similar[first.head].mean()))
    # A face that is no longer found has lost its shape entirely.
    apart = 1.0 if shape is None else float(np.linalg.norm(shape - first.shape, axis=1).mean())
    seen["shape"].append(apart)


def _colour_and_sharpness(image: Pixels, head: NDArray[np.bool_]) -> tuple[Floats, float]:
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[head].mean(0).astype(np.float64)
    sharpness = float(np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F))[head].mean())
    return lab, sharpness


def _canonical(points: NDArray[np.float32]) -> Floats:
    """(478, 3) without position, size and turn in the picture's plane."""
    shape = points.astype(np.float64) - points.mean(0)
    across = points[263, :2] - points[33, :2]
    cos, sin = across / np.linalg.norm(across)
    shape[:, :2] @= np.array([[cos, -sin], [sin, cos]])
    return np.asarray(shape / np.sqrt(np.square(shape).sum(1).mean()))
