"""What can be told from a face's landmarks alone, whoever's they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import regions
from avatar_sdk.topology import RIGID

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MIDDLE_LIDS = slice(2, 5)
"""The lid pairs that open widest."""


def _averages() -> Doubles:
    """(12, 478) weights: each row is one mean of landmarks, or the difference of two."""
    rows = np.zeros((12, 478))
    groups = (RIGID, regions.RIGHT_SIDE, regions.LEFT_SIDE, regions.BROW_LINE, regions.NOSE_BASE)
    for row, group in enumerate(groups):
        rows[row, group] = 1 / len(group)
    for eye in (0, 1):
        rows[5 + eye, regions.LOWER_LIDS[eye, MIDDLE_LIDS]] = 1 / 3
        rows[5 + eye, regions.UPPER_LIDS[eye, MIDDLE_LIDS]] = -1 / 3
        rows[7 + eye, regions.EYE_CORNERS[eye]] = 1, -1
    rows[9, regions.LOWER_LIP[-1]] = 1 / 9
    rows[9, regions.UPPER_LIP[-1]] = -1 / 9
    rows[10, regions.MOUTH_CORNERS] = 1, -1
    rows[11, regions.EYE_CORNERS.ravel()] = 1 / 4
    return rows


_AVERAGES = _averages().astype(np.float32)


@dataclass(frozen=True, eq=False)
class Measures:
    """Lengths in the landmarks' unit; ratios have none.

    Attributes:
        centre: (3,) of the rigid points.
        between_eyes: (3,).
        axes: (3, 3) columns are the head's right-to-left, top-to-bottom and front-to-back axes.
        width: distance between the sides of the head, whatever its pose.
        lid_opening: lid gap over eye width, mean of both eyes.
        lip_opening: lip gap over face width.
        mouth_width: over face width.
    """

    centre: Doubles
    between_eyes: Doubles
    axes: Doubles
    width: float
    lid_opening: float
    lip_opening: float
    mouth_width: float

    @classmethod
    def of(cls, face: Floats) -> Measures | None:
        """Measures (478, 3) landmarks, y down, z away from the camera; None when they are no face at all."""
        rows = (_AVERAGES @ face).astype(np.float64)
        across, down = rows[2] - rows[1], rows[4] - rows[3]
        width = _length(across)
        if not 1e-6 < width < math.inf:
            return None
        x = across / width
        y = down - (down @ x) * x
        height = _length(y)
        if not 1e-6 < height < math.inf:
            return None
        y /= height
        z = np.array([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]])
        eyes = [float(rows[5 + eye] @ y) / max(_length(rows[7 + eye]), 1e-9) for eye in (0, 1)]
        return cls(
            centre=rows[0],
            between_eyes=rows[11],
            axes=np.stack([x, y, z], 1),
            width=width,
            lid_opening=(eyes[0] + eyes[1]) / 2,
            lip_opening=float(rows[9] @ y) / width,
            mouth_width=_length(rows[10]) / width,
        )


def _length(vector: Doubles) -> float:
    return math.sqrt(vector @ vector)
