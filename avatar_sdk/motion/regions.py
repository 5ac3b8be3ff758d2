"""Which landmarks belong to which part of the face, and how far each part reaches."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT

Floats = NDArray[np.float32]

RIGHT_SIDE: Final = np.array([234, 127, 162, 33])
LEFT_SIDE: Final = np.array([454, 356, 389, 263])
BROW_LINE: Final = np.array([9, 151, 10])
NOSE_BASE: Final = np.array([2, 98, 327])

UPPER_LIDS: Final = np.stack([EYE_RIGHT[1:8], EYE_LEFT[1:8]])
LOWER_LIDS: Final = np.stack([EYE_RIGHT[:8:-1], EYE_LEFT[:8:-1]])
"""(2, 7) from the outer to the inner corner, each lower point below its upper one; the subject's right eye first."""
EYE_CORNERS: Final = np.stack([EYE_RIGHT[[0, 8]], EYE_LEFT[[0, 8]]])
IRISES: Final = np.stack([IRIS_RIGHT, IRIS_LEFT])
BROWS: Final = np.concatenate([BROW_RIGHT, BROW_LEFT])

UPPER_LIP: Final = np.array(
    [
        [185, 40, 39, 37, 0, 267, 269, 270, 409],
        [184, 74, 73, 72, 11, 302, 303, 304, 408],
        [183, 42, 41, 38, 12, 268, 271, 272, 407],
        [191, 80, 81, 82, 13, 312, 311, 310, 415],
    ]
)
LOWER_LIP: Final = np.array(
    [
        [146, 91, 181, 84, 17, 314, 405, 321, 375],
        [77, 90, 180, 85, 16, 315, 404, 320, 307],
        [96, 89, 179, 86, 15, 316, 403, 319, 325],
        [95, 88, 178, 87, 14, 317, 402, 318, 324],
    ]
)
"""(4, 9) rings from the outermost to the innermost, from the right to the left corner, corners left out."""
MOUTH_CORNERS: Final = np.array([61, 291])
JAW: Final = np.array([152, 148, 377, 176, 400, 149, 378, 150, 379, 172, 397, 136, 365, 200, 199])


def part_weights(canonical: Floats, width: float) -> tuple[Floats, Floats]:
    """How much each landmark belongs to the eyes, the brows and the mouth.

    Args:
        canonical: (478, 3) landmarks along the head's own axes.
        width: the face width in the same unit.

    Returns:
        share: (478, 3), rows sum to 1; every landmark belongs somewhere.
        reach: (478,) in [0, 1], 1 inside the nearest part, fading to 0 at about 0.3 face widths from it.
    """
    seeds = (
        np.concatenate([UPPER_LIDS.ravel(), LOWER_LIDS.ravel(), EYE_CORNERS.ravel(), IRISES.ravel()]),
        BROWS,
        np.concatenate([UPPER_LIP.ravel(), LOWER_LIP.ravel(), MOUTH_CORNERS, JAW]),
    )
    distance = np.stack([_distance(canonical, canonical[s]) for s in seeds], 1) / width
    close = np.exp(-((distance / 0.08) ** 2).clip(0, 60)) + 1e-9 / (1e-3 + distance**2)
    share = close / close.sum(1, keepdims=True)
    for part, indices in enumerate(seeds):
        share[indices] = np.eye(3)[part]
    reach = np.exp(-((distance.min(1) / 0.15) ** 2))
    return share.astype(np.float32), reach.astype(np.float32)


def _distance(points: Floats, seeds: Floats) -> Floats:
    difference = points[:, None, :2] - seeds[None, :, :2]
    return np.asarray(np.sqrt((difference**2).sum(-1)).min(1), np.float32)
