"""The iris as its own small mesh inside the lids, so that the gaze moves while the lids stay."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

RIM: Final = 8
IRIS_VERTICES: Final = RIM + 1
"""Rim, then the centre."""
LIDS: Final = 16


def iris_vertices(landmarks: Floats, lids: Indices, iris: Indices) -> Floats:
    """(9, 3): the visible iris of one eye, its rim kept between the lids.

    Args:
        landmarks: (478, 3).
        lids: 16 landmarks from the outer corner along the upper lid and back.
        iris: centre and four rim landmarks.
    """
    contour = landmarks[lids].astype(np.float64)
    centre = landmarks[iris[0]].astype(np.float64)
    radius = float(np.linalg.norm(landmarks[iris[1:], :2] - landmarks[iris[0], :2], axis=1).mean())
    corners = contour[[0, LIDS // 2], :2]
    across = corners[1] - corners[0]
    across /= max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    # "Down" is from the upper lid to the lower one, even in an eye that is squeezed shut.
    if (contour[9:, :2].mean(0) - contour[1:8, :2].mean(0)) @ down < 0:
        down = -down
    frame = np.stack([across, down])
    local = (contour[:, :2] - corners[0]) @ frame.T
    angles = np.arange(RIM) * (2 * np.pi / RIM)
    middle = frame @ (centre[:2] - corners[0])
    # The rim starts at the outer corner's side and turns over the upper lid, as the contour does.
    rim = np.stack([middle[0] - radius * np.cos(angles), middle[1] - radius * np.sin(angles)], 1)
    points = np.concatenate([rim, middle[None]])
    upper = np.interp(points[:, 0], local[: LIDS // 2 + 1, 0], local[: LIDS // 2 + 1, 1])
    lower_x = np.append(local[LIDS // 2 :, 0], local[0, 0])[::-1]
    lower_y = np.append(local[LIDS // 2 :, 1], local[0, 1])[::-1]
    lower = np.interp(points[:, 0], lower_x, lower_y)
    slack = np.minimum(0.06 * radius, np.maximum(lower - upper, 0) / 2)
    points[:, 1] = np.clip(points[:, 1], upper + slack, np.maximum(lower - slack, upper + slack))
    points[:, 0] = np.clip(points[:, 0], 0.02 * local[LIDS // 2, 0], 0.98 * local[LIDS // 2, 0])
    placed = points @ frame + corners[0]
    depth = np.full((IRIS_VERTICES, 1), contour[:, 2].mean())
    return np.asarray(np.concatenate([placed, depth], 1), np.float32)


def eye_triangles(lids: Indices, first: int) -> list[tuple[int, int, int]]:
    """The eye's opening: from the lids to the rim, and from the rim to the centre.

    Args:
        lids: 16 landmarks as for `iris_vertices`.
        first: the index of the first rim vertex.
    """
    triangles = []
    for i in range(LIDS):
        j = (i + 1) % LIDS
        a, b = i * RIM // LIDS, j * RIM // LIDS
        triangles.append((int(lids[i]), int(lids[j]), first + a))
        if a != b:
            triangles.append((int(lids[j]), first + b, first + a))
    triangles += [(first + a, first + (a + 1) % RIM, first + RIM) for a in range(RIM)]
    return triangles
