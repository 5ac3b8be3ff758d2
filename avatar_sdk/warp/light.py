"""The light on the portrait's face, by which painted parts are coloured."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.portrait import Portrait

SKIN: Final = np.array([50, 280, 205, 425, 151, 9])
"""Landmarks on cheeks and forehead."""


def skin_colour(portrait: Portrait) -> NDArray[np.float32]:
    """(3,) float32 RGB in [0, 255], the median over cheeks and forehead."""
    height, width = portrait.image.shape[:2]
    at = portrait.landmarks[SKIN, :2].round().astype(int).clip(0, [width - 1, height - 1])
    return np.asarray(np.median(portrait.image[at[:, 1], at[:, 0]].astype(np.float32), 0), np.float32)
