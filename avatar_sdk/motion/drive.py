"""The drive: one vector that says how far a face is from its rest, in units that fit every face.

Lengths are in face widths, so the same drive moves any portrait. Zero is the portrait itself, which makes easing,
gains and filters plain arithmetic.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion.regions import IRISES
from avatar_sdk.motion.rigid import limit, rotation_matrix
from avatar_sdk.motion.shape import FaceShape

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

ROTATION: Final = slice(0, 3)
"""Axis × angle about the neck. Unit: radians."""
APPROACH: Final = 3
"""Natural logarithm of the head's scale."""
TRAVEL: Final = slice(4, 7)
"""Movement of the neck. Unit: face widths."""
SHOULDERS: Final = slice(7, 11)
"""x, y of the right shoulder, then the left. Unit: face widths."""
PLACEMENT: Final = slice(3, 11)
"""Where the driver sits: approach, travel and shoulders."""
FACE: Final = slice(11, 11 + 478 * 3)
"""Displacement of each landmark before the head moves. Unit: face widths."""
SIZE: Final = FACE.stop

ROTATION_LIMIT: Final = (math.radians(45), math.radians(60))
APPROACH_LIMIT: Final = (0.6, 0.9)
TRAVEL_LIMIT: Final = (1.2, 1.7)
SHOULDER_LIMIT: Final = (1.2, 1.7)
"""Knee and most of each: followed exactly up to the knee, never beyond the most."""
FACE_LIMIT: Final = 0.6
"""No landmark leaves its place on the head by more than this many face widths."""


def still() -> Floats:
    """The drive of a face at rest."""
    return np.zeros(SIZE, np.float32)


def compose(drive: Floats, portrait: FaceShape) -> tuple[Floats, float, Doubles, Doubles]:
    """Moves a portrait by a drive; extremes are bent back so that the head stays on its neck and in the frame.

    Returns:
        landmarks: (478, 3) in the portrait's unit.
        scale, rotation (3, 3), translation (3,): the rigid part.
    """
    turn = drive[ROTATION].astype(np.float64)
    angle = math.sqrt(turn @ turn)
    if angle > ROTATION_LIMIT[0]:
        turn *= limit(angle, *ROTATION_LIMIT) / angle
    rotation = rotation_matrix(turn)
    scale = math.exp(limit(float(drive[APPROACH]), *APPROACH_LIMIT))
    travel = portrait.width * np.array([limit(float(v), *TRAVEL_LIMIT) for v in drive[TRAVEL]])
    translation = portrait.neck + travel - scale * rotation @ portrait.neck
    deformed: Floats = np.minimum(np.maximum(drive[FACE], -FACE_LIMIT), FACE_LIMIT).reshape(478, 3)
    deformed *= np.float32(portrait.width)
    deformed += portrait.landmarks
    landmarks = deformed @ (scale * rotation.T).astype(np.float32)
    landmarks += translation.astype(np.float32)
    return landmarks, scale, rotation, translation


def per_part(
    share: Floats, *, head: float, shoulders: float, travel: float, parts: tuple[float, float, float]
) -> Floats:
    """One value for every element of a drive.

    Args:
        share: (478, 3) of each landmark in eyes, brows and mouth.
        head: for the rotation.
        shoulders: for the shoulders.
        travel: for travel and approach.
        parts: for eyes, brows and mouth.
    """
    values = np.empty(SIZE, np.float32)
    values[ROTATION] = head
    values[APPROACH] = values[TRAVEL] = travel
    values[SHOULDERS] = shoulders
    weights = share.copy()
    weights[IRISES.ravel()] = (1, 0, 0)
    values[FACE] = np.repeat(weights @ np.array(parts, np.float32), 3)
    return values
