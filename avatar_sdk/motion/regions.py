"""Which landmarks belong to which part of the face, and how far each part reaches."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# fmt: off
RIGID: Final = np.array([
    168, 6, 197, 195, 122, 351, 193, 417, 10, 151, 9, 109, 338, 67, 297, 54, 284, 21, 251,
    162, 389, 127, 356, 234, 454, 33, 133, 362, 263,
])
# fmt: on
"""Nose bridge, forehead, temples and eye corners: what moves with the skull."""

RIGHT_SIDE: Final = np.array([234, 127, 162, 33])
LEFT_SIDE: Final = np.array([454, 356, 389, 263])
BROW_LINE: Final = np.array([9, 151, 10])
NOSE_BASE: Final = np.array([2, 98, 327])

# Lids from the outer to the inner corner, the upper lid's points above the lower's. First row: the subject's right eye.
UPPER_LIDS: Final = np.array([[246, 161, 160, 159, 158, 157, 173], [466, 388, 387, 386, 385, 384, 398]])
LOWER_LIDS: Final = np.array([[7, 163, 144, 145, 153, 154, 155], [249, 390, 373, 374, 380, 381, 382]])
EYE_CORNERS: Final = np.array([[33, 133], [263, 362]])
IRISES: Final = np.array([[468, 469, 470, 471, 472], [473, 474, 475, 476, 477]])
BROWS: Final = np.array([70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285])

# Lip rings from the outermost to the innermost, from the right to the left corner, corners left out.
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
MOUTH_CORNERS: Final = np.array([61, 291])
JAW: Final = np.array([152, 148, 377, 176, 400, 149, 378, 150, 379, 172, 397, 136, 365, 200, 199])

EYES, BROW, MOUTH = 0, 1, 2
"""Columns of `part_weights`."""


def head_axes(face: Floats) -> NDArray[np.float64]:
    """The head's own axes, found from landmarks that hardly move with expression.

    Args:
        face: (478, 3) landmarks, y down, z away from the camera.

    Returns:
        (3, 3) rotation; columns: the head's right-to-left, top-to-bottom and front-to-back axes.
    """
    points = face.astype(np.float64)
    across = points[LEFT_SIDE].mean(0) - points[RIGHT_SIDE].mean(0)
    down = points[NOSE_BASE].mean(0) - points[BROW_LINE].mean(0)
    x = across / np.linalg.norm(across)
    y = down - (down @ x) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], 1)


def face_width(face: Floats) -> float:
    """Distance between the sides of the head, whatever its pose. Unit: the landmarks'."""
    return float(np.linalg.norm(face[LEFT_SIDE].mean(0) - face[RIGHT_SIDE].mean(0)))


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
