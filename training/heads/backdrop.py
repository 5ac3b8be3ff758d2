"""What stands behind people: plain walls, gradients, clouds, rooms, lights out of focus."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.heads.noise import noise

Pixels = NDArray[np.uint8]


def draw_backdrop(rng: np.random.Generator, side: int) -> Pixels:
    """(side, side, 3) uint8 RGB."""
    kind = rng.integers(5)
    first, second = rng.uniform(0.03, 0.95, 3), rng.uniform(0.03, 0.95, 3)
    vivid = 1.0 if rng.random() < 0.3 else rng.uniform(0.1, 0.5)
    first, second = (_muted(c, vivid) for c in (first, second))
    y, x = np.mgrid[:side, :side] / side - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    ramp = np.clip(0.5 + (x * np.cos(turn) + y * np.sin(turn)) * rng.uniform(0, 1.2), 0, 1)[..., None]
    picture = (first * (1 - ramp) + second * ramp).astype(np.float32)
    if kind == 1:
        cloud = np.clip(0.5 + 0.4 * noise(rng, side, side, zoom=rng.uniform(0.5, 3)), 0, 1)[..., None]
        picture = picture * (1 - cloud) + np.float32(_muted(rng.uniform(0, 1, 3), vivid)) * cloud
    elif kind >= 2:
        _furnish(picture, rng, int(rng.integers(4, 30)), vivid, discs=kind == 4)
    blur = rng.uniform(0.3, 0.03 * side) if rng.random() < 0.7 else 0.0
    if blur > 0.3:
        small = cv2.resize(picture, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(cv2.GaussianBlur(small, (0, 0), blur / 2), (side, side))
    picture *= 1 + 0.03 * noise(rng, side, side, detail=True)[..., None]
    return np.asarray(np.clip(255 * picture, 0, 255), np.uint8)


def _furnish(picture: NDArray[np.float32], rng: np.random.Generator, count: int, vivid: float, discs: bool) -> None:
    """Shelves, windows, frames and lamps, as rectangles, lines and discs."""
    side = len(picture)
    for _ in range(count):
        colour = tuple(float(v) for v in _muted(rng.uniform(0.02, 1.0, 3), vivid))
        x, y = (int(v) for v in rng.integers(-side // 8, side, 2))
        if discs:
            cv2.circle(picture, (x, y), int(rng.uniform(0.01, 0.07) * side), colour, -1, cv2.LINE_AA)
        elif rng.random() < 0.3:
            end = (int(rng.integers(0, side)), y) if rng.random() < 0.5 else (x, int(rng.integers(0, side)))
            cv2.line(picture, (x, y), end, colour, int(rng.integers(1, 9)), cv2.LINE_AA)
        else:
            wide, tall = (int(v) for v in rng.uniform(0.03, 0.4, 2) * side)
            cv2.rectangle(picture, (x, y), (x + wide, y + tall), colour, -1)


def _muted(colour: NDArray[np.float64], vivid: float) -> NDArray[np.float64]:
    """Less saturated: 0 = grey, 1 = as it is."""
    return np.asarray(colour.mean() + vivid * (colour - colour.mean()))
