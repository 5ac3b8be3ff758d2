"""What an avatar does while nobody drives it: breathe and blink."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import drive
from avatar_sdk.motion.regions import LOWER_LIDS, UPPER_LIDS
from avatar_sdk.motion.shape import FaceShape

Floats = NDArray[np.float32]

BREATH_S = 4.2
BLINK_S = 0.28
BLINK_EVERY_S = 3.6
"""Mean time between blinks."""


class IdleMotion:
    """Small deterministic motion: the same seed and time give the same drive."""

    def __init__(self, portrait: FaceShape, seed: int) -> None:
        self._seed = seed
        field = np.zeros((478, 3), np.float32)
        field[UPPER_LIDS, 1] = 0.85 * portrait.lid_openings
        field[LOWER_LIDS, 1] = -0.15 * portrait.lid_openings
        self._closed = ((field @ portrait.axes.T) / portrait.width).astype(np.float32).ravel()

    def drive(self, time_us: int) -> Floats:
        """(drive.SIZE,) at `time_us` on any monotonic clock."""
        time_s = time_us / 1e6
        phase = 2 * math.pi * time_s / BREATH_S
        out = drive.still()
        out[drive.TRAVEL.start + 1] = 0.006 * math.sin(phase)
        out[drive.SHOULDERS] = (0.0, 0.010 * math.sin(phase - 0.5), 0.0, 0.010 * math.sin(phase - 0.5))
        out[drive.ROTATION] = (
            0.006 * math.sin(phase + 0.8),
            0.015 * math.sin(2 * math.pi * time_s / 11.3),
            0.006 * math.sin(2 * math.pi * time_s / 7.9),
        )
        out[drive.FACE] = self._closed * self._blink(time_s)
        return out

    def _blink(self, time_s: float) -> float:
        """Closure in [0, 1]: one blink somewhere in every slot of `BLINK_EVERY_S`."""
        slot = int(time_s // BLINK_EVERY_S)
        start = slot * BLINK_EVERY_S + np.random.default_rng((self._seed, slot)).uniform(0, BLINK_EVERY_S - BLINK_S)
        phase = (time_s - start) / BLINK_S
        return math.sin(math.pi * phase) ** 2 if 0 < phase < 1 else 0.0
