"""Keeping faces that cannot be true out of the motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

from avatar_sdk.motion.measures import Measures

Place = tuple[float, float, float]
"""Centre x, y and width of a face."""

JUMP = 0.6
"""A face that moves further than this within 40 ms is suspect. Unit: face widths."""
GROWTH = 1.6
"""A face that grows or shrinks by more than this factor within 40 ms is suspect."""
INTERVAL_US = 40_000
SUSTAINED = 3
"""As many suspects in one place, one after the other, are a new place and no fault."""


@dataclass(eq=False)
class OutlierGate:
    """Lets faces pass unless they jump.

    Attributes:
        last: where the last face that passed was.
        last_us: its time.
        suspect: where the last face was that did not pass.
        suspect_us: its time.
        suspects: how many in a row were near each other.
        relocated: whether the last face that passed had been taken for an outlier before.
    """

    last: Place | None = None
    last_us: int = 0
    suspect: Place | None = None
    suspect_us: int = 0
    suspects: int = 0
    relocated: bool = False

    def accept(self, measures: Measures, time_us: int) -> bool:
        """Whether a face at `time_us` can be true. Mutates itself in place."""
        place = (float(measures.centre[0]), float(measures.centre[1]), measures.width)
        if self.last is not None and not _near(self.last, place, time_us - self.last_us):
            sustained = self.suspect is not None and _near(self.suspect, place, time_us - self.suspect_us)
            self.suspects = self.suspects + 1 if sustained else 1
            self.suspect, self.suspect_us = place, time_us
            if self.suspects < SUSTAINED:
                return False
        self.relocated = self.suspect is not None and self.last is not None and not _near(self.last, place, 0)
        self.last, self.last_us = place, time_us
        self.suspect, self.suspects = None, 0
        return True


def _near(before: Place, after: Place, interval_us: int) -> bool:
    patience = min(max(interval_us / INTERVAL_US, 1.0), 10.0)
    growth = after[2] / before[2]
    jump = math.hypot(after[0] - before[0], after[1] - before[1]) / min(before[2], after[2])
    return jump <= JUMP * patience and GROWTH**-patience <= growth <= GROWTH**patience
