"""A motion as a row of numbers: how it reaches the device, and how it is taken apart there.

B rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from avatar_sdk.motion import Motion
from avatar_sdk.runtime.torch.geometry import MotionRows
from avatar_sdk.topology import LANDMARKS

MOTION: Final = (LANDMARKS * 3, 1, 9, 3, 4, 1)
"""Numbers of the fields of `MotionRows`."""
FURTHEST_PX: Final = 1e5
"""A coordinate beyond this is no motion of a face."""


def numbers_of(motion: Motion) -> tuple[ArrayLike, ...]:
    """The fields of `MotionRows`, as many numbers as `MOTION` says each."""
    shoulders = np.zeros((2, 2), np.float32) if motion.shoulders is None else motion.shoulders
    return (
        motion.landmarks,
        motion.head_scale,
        motion.head_rotation,
        motion.head_translation,
        shoulders,
        float(motion.shoulders is not None),
    )


def motion_rows(floats_BN: Tensor) -> MotionRows:
    """Takes rows of sum(MOTION) numbers apart again."""
    landmarks, scale, rotation, translation, shoulders, tracked = floats_BN.split(MOTION, 1)
    return MotionRows(
        landmarks.unflatten(1, (LANDMARKS, 3)),
        scale[:, 0],
        rotation.unflatten(1, (3, 3)),
        translation,
        shoulders.unflatten(1, (2, 2)),
        tracked[:, 0],
    )


def is_usable(motion: Motion) -> bool:
    """Whether every number is finite and within reason, so that every place in a picture can be computed from it."""
    parts = [motion.landmarks, motion.head_rotation, motion.head_translation]
    if motion.shoulders is not None:
        parts.append(motion.shoulders)
    # Comparisons with what is not a number are false.
    return all(bool((np.abs(part) < FURTHEST_PX).all()) for part in parts) and 1e-3 < motion.head_scale < 1e3
