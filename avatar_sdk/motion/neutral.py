"""Finding the driver's neutral pose without asking for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion.measures import Measures

Floats = NDArray[np.float32]

BETTER_SHARE, BETTER_BY = 0.85, 0.25
"""A new neutral must score below this share of the one in use, and lower by this, so that the choice settles."""
AVERAGED = 4
"""Faces in a row that must all be better, and are averaged into the new neutral."""
QUANTILE_RATE = 0.005
"""How far the memory of open eyes and a relaxed mouth moves with one pose, as a share of its usual size."""


@dataclass(eq=False)
class NeutralSearch:
    """What is remembered while looking for the nearest-to-neutral pose.

    Attributes:
        chosen: measures of the neutral in use; None before the first.
        open_eyes: a high quantile of the lid opening so far.
        mouth_width: the median so far.
        seen: poses looked at.
        recent: the last few faces and their measures.
    """

    chosen: Measures | None = None
    open_eyes: float = 0.0
    mouth_width: float = 0.0
    seen: int = 0
    recent: list[tuple[Floats, Measures]] = field(default_factory=list)

    def offer(self, face: Floats, measures: Measures) -> Floats | None:
        """Returns a better neutral face when `face` completes one. Mutates itself in place."""
        self._learn(measures)
        self.recent.append((face, measures))
        if len(self.recent) > AVERAGED:
            self.recent.pop(0)
        if self.chosen is None:
            self.chosen = measures
            return face
        in_use = self.score(self.chosen)
        if len(self.recent) < AVERAGED:
            return None
        if max(self.score(candidate) for _, candidate in self.recent) > min(BETTER_SHARE * in_use, in_use - BETTER_BY):
            return None
        self.chosen = measures
        return np.asarray(np.mean([face for face, _ in self.recent], 0, dtype=np.float32))

    def score(self, measures: Measures) -> float:
        """0 = looking straight ahead with a relaxed face; 1 = clearly not."""
        axes = measures.axes
        turn = math.hypot(axes[2, 0], axes[1, 0]) / 0.25 + abs(axes[2, 1]) / 0.5
        blink = abs(measures.lid_opening / max(self.open_eyes, 0.05) - 1) / 0.5
        speech = max(measures.lip_opening, 0.0) / 0.05 + abs(measures.mouth_width / self.mouth_width - 1) / 0.3
        return float(turn + blink + speech)

    def _learn(self, measures: Measures) -> None:
        opening, mouth = measures.lid_opening, measures.mouth_width
        if self.seen == 0:
            self.open_eyes, self.mouth_width = opening, mouth
        self.seen += 1
        rate = max(QUANTILE_RATE, 0.5 / self.seen)
        # Stochastic quantiles: the first rises four times as readily as it falls, so it rests near the 80th percentile.
        self.open_eyes += 0.3 * rate * (0.8 if opening > self.open_eyes else -0.2)
        self.mouth_width += 0.2 * rate * (0.5 if mouth > self.mouth_width else -0.5)
