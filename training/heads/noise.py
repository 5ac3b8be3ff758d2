"""Noise for textures: made once per process, then cut, flipped and mixed."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

SIDE: Final = 1024
POOL: Final = 6


@cache
def _pool() -> tuple[Field, ...]:
    """Fractal noise fields of zero mean and unit deviation, from coarse to fine character."""
    rng = np.random.default_rng(20)
    fields = []
    for k in range(POOL):
        total = np.zeros((SIDE, SIDE), np.float32)
        for octave in range(2, 10):
            cells = 2**octave
            grain = rng.standard_normal((cells, cells)).astype(np.float32)
            # Even fields are cloudy, odd ones as strong in detail as in shape.
            weight = 0.62**octave if k % 2 == 0 else 0.92**octave
            total += weight * cv2.resize(grain, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        fields.append((total - total.mean()) / total.std())
    return tuple(fields)


def noise(rng: np.random.Generator, height: int, width: int, detail: bool = False, zoom: float = 1.0) -> Field:
    """(height, width) float32 of about zero mean and unit deviation.

    Args:
        rng: chooses the cut.
        height: of the result.
        width: of the result.
        detail: grainy instead of cloudy.
        zoom: > 1 = larger features.
    """
    field = _pool()[2 * int(rng.integers(POOL // 2)) + detail]
    tall, wide = min(SIDE, max(2, round(height / zoom))), min(SIDE, max(2, round(width / zoom)))
    y, x = int(rng.integers(SIDE - tall + 1)), int(rng.integers(SIDE - wide + 1))
    cut = field[y : y + tall, x : x + wide]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    if rng.random() < 0.5:
        cut = cut[::-1]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def streaks(rng: np.random.Generator, height: int, width: int, length: float = 12.0) -> Field:
    """(height, width) noise drawn out downwards by `length`, like strands of hair; zero mean, unit deviation."""
    field = noise(rng, max(2, round(height / length)), width, detail=True, zoom=0.5)
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
