"""Finding the driver's neutral pose without asking for it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion.regions import (
    EYE_CORNERS,
    LOWER_LIDS,
    LOWER_LIP,
    MOUTH_CORNERS,
    UPPER_LIDS,
    UPPER_LIP,
    face_width,
    head_axes,
)
from avatar_sdk.motion.shape import gaps

Floats = NDArray[np.float32]

BETTER_BY = 0.9
"""A new neutral must score below this share of the old one's score, so that it settles."""
GOOD_ENOUGH = 0.12
"""Scores below this are all the same: measuring noise."""
AVERAGED = 4
"""Faces averaged into a candidate."""
OPEN_EYES_RATE = 0.02
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

    score: float = float("inf")
    open_eyes: float = 0.0
    mouth_width: float = 0.0
    recent: list[tuple[float, Floats]] = field(default_factory=list)

    def offer(self, face: Floats) -> Floats | None:
        """Returns a better neutral face when `face` completes one. Mutates itself in place."""
        score = self._score(face)
        self.recent.append((score, face))
        if len(self.recent) > AVERAGED:
            self.recent.pop(0)
        if self.score == float("inf"):
            self.score = score
            return face
        worst = max(s for s, _ in self.recent)
        if len(self.recent) < AVERAGED or worst > BETTER_BY * self.score or self.score < GOOD_ENOUGH:
            return None
        self.score = worst
        return np.asarray(np.mean([f for _, f in self.recent], 0, dtype=np.float32))

    def _score(self, face: Floats) -> float:
        """0 = looking straight ahead with relaxed face; 1 = clearly not."""
        axes = head_axes(face)
        canonical = face @ axes.astype(np.float32)
        eyes = canonical[EYE_CORNERS]
        opening = float((gaps(canonical, UPPER_LIDS, LOWER_LIDS)[:, 2:5].mean(1) / _lengths(eyes)).mean())
        width = face_width(face)
        mouth = float(_lengths(canonical[MOUTH_CORNERS][None])[0]) / width
        lips = abs(float(gaps(canonical, UPPER_LIP[-1], LOWER_LIP[-1]).mean())) / width
        if not self.recent:
            self.open_eyes, self.mouth_width = opening, mouth
        # A stochastic quantile: rises four times as readily as it falls, so it rests near the 80th percentile.
        self.open_eyes += OPEN_EYES_RATE * 0.3 * (0.8 if opening > self.open_eyes else -0.2)
        self.mouth_width += OPEN_EYES_RATE * 0.1 * (0.5 if mouth > self.mouth_width else -0.5)
        blink = abs(opening / max(self.open_eyes, 0.05) - 1)
        turn = np.hypot(axes[2, 0], axes[1, 0]) / 0.25 + abs(axes[2, 1]) / 0.5
        return float(turn + blink / 0.5 + lips / 0.05 + abs(mouth / self.mouth_width - 1) / 0.3)


def _lengths(pairs: Floats) -> Floats:
    return np.asarray(np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1))
