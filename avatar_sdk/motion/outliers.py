"""Keeping faces that cannot be true out of the motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion.regions import RIGID, face_width

Floats = NDArray[np.float32]

JUMP = 0.6
"""A face that moves further than this within 40 ms is suspect. Unit: face widths."""
GROWTH = 1.6
"""A face that grows or shrinks by more than this factor within 40 ms is suspect."""
INTERVAL_US = 40_000
SUSTAINED = 3
"""As many suspects in one place, one after the other, are a new place and no fault."""


@dataclass(eq=False)
class OutlierGate:
    """Lets faces pass unless they are not finite, have no size, or jump.

    Attributes:
        last: centre x, y, z and width of the last face that passed.
        last_us: its time.
        suspect: the same of the last face that did not.
        suspects: how many in a row were near each other.
    """

    last: Floats | None = None
    last_us: int = 0
    suspect: Floats | None = None
    suspect_us: int = 0
    suspects: int = 0

    def accept(self, face: Floats, time_us: int) -> bool:
        """Whether (478, 3) landmarks at `time_us` can be true. Mutates itself in place."""
        if not np.isfinite(face).all():
            return False
        width = face_width(face)
        if width < 1e-4:
            return False
        place = np.array([*face[RIGID].mean(0), width], np.float32)
        if self.last is not None and not _near(self.last, place, time_us - self.last_us):
            sustained = self.suspect is not None and _near(self.suspect, place, time_us - self.suspect_us)
            self.suspects = self.suspects + 1 if sustained else 1
            self.suspect, self.suspect_us = place, time_us
            if self.suspects < SUSTAINED:
                return False
        self.last, self.last_us = place, time_us
        self.suspect, self.suspects = None, 0
        return True


def _near(before: Floats, after: Floats, interval_us: int) -> bool:
    patience = min(max(interval_us / INTERVAL_US, 1.0), 10.0)
    growth = after[3] / before[3]
    jump = float(np.linalg.norm(after[:2] - before[:2])) / float(min(before[3], after[3]))
    return jump <= JUMP * patience and 1 / GROWTH**patience <= growth <= GROWTH**patience
