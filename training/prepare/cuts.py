"""Where one shot ends and the next begins, as far as pictures tell."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

THUMB: Final = (48, 27)
"""Width and height of the picture in which cuts are looked for."""
CALM: Final = 4.0
"""A cut changes the picture so many times more than the frames before it did: a shaking camera makes no cuts."""
MEMORY: Final = 12
"""Frames before it that a change is compared with."""


@dataclass(eq=False)
class CutFinder:
    """Looks at one picture after the other.

    Attributes:
        threshold: mean absolute change of a small picture above which there may be a cut. Range: [0, 1].
        gap_s: a longer pause is a cut. Unit: seconds.
        changes: of the last frames.
    """

    threshold: float
    gap_s: float
    changes: deque[float] = field(default_factory=lambda: deque(maxlen=MEMORY))
    _thumb: NDArray[np.float32] | None = None
    _shape: tuple[int, ...] = ()
    _time_us: int = 0

    def see(self, image: Pixels, time_us: int) -> bool:
        """Whether there is a cut before `image` (H, W, 3) uint8 RGB. Mutates itself."""
        thumb = cv2.resize(image, THUMB, interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._thumb = self._thumb, thumb
        shape, self._shape = self._shape, image.shape
        pause_s, self._time_us = (time_us - self._time_us) / 1e6, time_us
        if before is None:
            return False
        change = float(np.abs(thumb - before).mean() / 255)
        usual = median(self.changes) if self.changes else 0.0
        self.changes.append(change)
        return shape != image.shape or pause_s > self.gap_s or (change > self.threshold and change > CALM * usual)
