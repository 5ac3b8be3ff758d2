"""Imitates the errors that MediaPipe makes on exact landmarks: bias, habit, noise and lag.

Fitted once by `tools/fit_detector.py` on rendered faces, stored, and drawn from without MediaPipe. Errors live in the
frame of the head; their unit is the distance of the outer eye corners. F frames, K modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT, RIGID

Floats = NDArray[np.float64]

FEATURES = ("constant", "yaw", "pitch", "yaw_squared", "lid_right", "lid_left", "lips_open", "lips_wide")


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """What was fitted.

    Attributes:
        habit: (features, 478, 3) error that follows from the pose and the expression, `FEATURES`.
        person: (K, 478, 3) modes of the error that stays with a person, scaled to unit deviation.
        noise: (K, 478, 3) modes of the error that changes from frame to frame, scaled to unit deviation.
        memory: (K,) correlation of each noise mode from one frame to the next, at 24 fps.
        lag: (478,) share of the previous frame in what is reported.
    """

    habit: Floats
    person: Floats
    noise: Floats
    memory: Floats
    lag: Floats

    @classmethod
    @cache
    def load(cls) -> DetectorModel:
        """The stored fit."""
        with as_file(files("training.heads") / "assets" / "detector.npz") as path, np.load(path) as stored:
            return cls(**{name: stored[name].astype(np.float64) for name in stored})

    def person_error(self, rng: np.random.Generator) -> Floats:
        """(478, 3) what the detector always gets wrong with one person."""
        return np.tensordot(rng.standard_normal(len(self.person)), self.person, 1)

    def detect(self, exact: Floats, own: Floats, rng: np.random.Generator, strength: float = 1.0) -> Floats:
        """What the detector would report.

        Args:
            exact: (F, 478, 3) landmarks of consecutive frames, any unit.
            own: from `person_error`.
            rng: of the noise.
            strength: of all errors; 0 = none.

        Returns:
            (F, 478, 3) in the unit of `exact`.
        """
        if strength == 0:
            return exact
        seen = exact.copy()
        seen[1:] += self.lag[:, None] * (exact[:-1] - exact[1:]) * min(strength, 1.0)
        state = rng.standard_normal(len(self.memory))
        fresh = np.sqrt(1 - self.memory**2)
        for frame in seen:
            axes, unit = head_frame(frame)
            error = np.tensordot(features(frame, axes), self.habit, 1) + own + np.tensordot(state, self.noise, 1)
            frame += strength * unit * error @ axes.T
            state = self.memory * state + fresh * rng.standard_normal(len(state))
        return seen


@cache
def _reference() -> Floats:
    """(rigid, 3) the average skull points, centred, in picture orientation: y down, z away from the camera."""
    from training.heads.anatomy import FACE

    points = FACE[RIGID] * (1, -1, -1)
    return np.asarray(points - points.mean(0))


def head_frame(points: Floats) -> tuple[Floats, float]:
    """Rotation (3, 3) from the head to the picture by Procrustes on the rigid points, and the outer-eye distance."""
    seen = points[RIGID] - points[RIGID].mean(0)
    u, _, vt = np.linalg.svd(seen.T @ _reference())
    turn = (u * (1, 1, np.sign(np.linalg.det(u @ vt)))) @ vt
    return turn, float(np.linalg.norm(points[33] - points[263]))


def features(points: Floats, axes: Floats) -> Floats:
    """(8,) `FEATURES` of one face: angles in radians, openings over the outer-eye distance."""
    unit = np.linalg.norm(points[33] - points[263])
    yaw, pitch = np.arctan2(axes[0, 2], axes[2, 2]), np.arcsin(np.clip(-axes[1, 2], -1, 1))
    lids = [np.linalg.norm(points[eye[4]] - points[eye[12]]) / unit for eye in (EYE_RIGHT, EYE_LEFT)]
    lips, wide = np.linalg.norm(points[13] - points[14]) / unit, np.linalg.norm(points[61] - points[291]) / unit
    return np.array([1.0, yaw, pitch, yaw * yaw, *(10 * np.array(lids)), 3 * lips, 2 * wide])
