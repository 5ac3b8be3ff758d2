"""Finding the driver's neutral pose without asking for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion.measures import Measures

Floats = NDArray[np.float32]

BETTER_BY = 0.9
"""A new neutral must score below this share of the old one's score, so that it settles."""
GOOD_ENOUGH = 0.12
"""Scores below this are all the same: measuring noise."""
AVERAGED = 4
"""Faces averaged into a candidate."""
QUANTILE_RATE = 0.02
"""How quickly the memory of open eyes and a relaxed mouth follows, per pose."""


@dataclass(eq=False)
class NeutralSearch:
    """What is remembered while looking for the nearest-to-neutral pose.

    Attributes:
        score: of the neutral in use; infinite before the first.
        open_eyes: a high quantile of lid gap over eye width.
        mouth_width: median of mouth width over face width.
        recent: the last few faces with their scores.
    """

    score: float = math.inf
    open_eyes: float = 0.0
    mouth_width: float = 0.0
    recent: list[tuple[float, Floats]] = field(default_factory=list)

    def offer(self, face: Floats, measures: Measures) -> Floats | None:
        """Returns a better neutral face when `face` completes one. Mutates itself in place."""
        score = self._score(measures)
        self.recent.append((score, face))
        if len(self.recent) > AVERAGED:
            self.recent.pop(0)
        if self.score == math.inf:
            self.score = score
            return face
        worst = max(score for score, _ in self.recent)
        if len(self.recent) < AVERAGED or worst > BETTER_BY * self.score or self.score < GOOD_ENOUGH:
            return None
        self.score = worst
        return np.asarray(np.mean([face for _, face in self.recent], 0, dtype=np.float32))

    def _score(self, measures: Measures) -> float:
        """0 = looking straight ahead with a relaxed face; 1 = clearly not."""
        opening, mouth, axes = measures.lid_opening, measures.mouth_width, measures.axes
        if not self.recent:
            self.open_eyes, self.mouth_width = opening, mouth
        # Stochastic quantiles: the first rises four times as readily as it falls, so it rests near the 80th percentile.
        self.open_eyes += 0.3 * QUANTILE_RATE * (0.8 if opening > self.open_eyes else -0.2)
        self.mouth_width += 0.1 * QUANTILE_RATE * (0.5 if mouth > self.mouth_width else -0.5)
        turn = math.hypot(axes[2, 0], axes[1, 0]) / 0.25 + abs(axes[2, 1]) / 0.5
        blink = abs(opening / max(self.open_eyes, 0.05) - 1) / 0.5
        speech = max(measures.lip_opening, 0.0) / 0.05 + abs(mouth / self.mouth_width - 1) / 0.3
        return float(turn + blink + speech)
