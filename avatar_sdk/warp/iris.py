"""The iris as its own small mesh inside the lids, so that the gaze moves while the lids stay."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

RIM: Final = 8
IRIS_VERTICES: Final = RIM + 1
"""Rim, then the centre."""
LIDS: Final = 16
SLACK: Final = 0.06
"""Least distance of the rim from the lids. Unit: the iris's radius."""


def iris_vertices(landmarks: Floats, lids: Indices, iris: Indices) -> Floats:
    """(9, 3): the visible iris of one eye, its rim kept between the lids.

    Args:
        landmarks: (478, 3).
        lids: 16 landmarks from the outer corner along the upper lid and back.
        iris: centre and four rim landmarks.
    """
    vertices: Floats = _between_lids(landmarks, lids, iris)
    return vertices


@njit(nogil=True, cache=True, error_model="numpy")
def _between_lids(landmarks: Any, lids: Any, iris: Any) -> Any:
    """The body of `iris_vertices`; coordinates along the line of the corners and down from it."""
    half = LIDS // 2
    x0, y0 = landmarks[lids[0], 0], landmarks[lids[0], 1]
    across_x, across_y = landmarks[lids[half], 0] - x0, landmarks[lids[half], 1] - y0
    width = max(np.sqrt(across_x * across_x + across_y * across_y), 1e-6)
    across_x, across_y = across_x / width, across_y / width
    down_x, down_y = -across_y, across_x
    # "Down" is from the upper lid to the lower one, even in an eye that is squeezed shut.
    gap = 0.0
    for i in range(1, half):
        upper, lower = lids[i], lids[LIDS - i]
        gap += (landmarks[lower, 0] - landmarks[upper, 0]) * down_x
        gap += (landmarks[lower, 1] - landmarks[upper, 1]) * down_y
    if gap < 0:
        down_x, down_y = -down_x, -down_y
    along, below = np.empty(LIDS + 1), np.empty(LIDS + 1)
    depth = 0.0
    for i in range(LIDS + 1):
        point = landmarks[lids[i % LIDS]]
        along[i] = (point[0] - x0) * across_x + (point[1] - y0) * across_y
        below[i] = (point[0] - x0) * down_x + (point[1] - y0) * down_y
        depth += point[2] / (LIDS + 1)
    centre = landmarks[iris[0]]
    radius = 0.0
    for i in range(1, 5):
        radius += np.hypot(landmarks[iris[i], 0] - centre[0], landmarks[iris[i], 1] - centre[1]) / 4
    u0 = (centre[0] - x0) * across_x + (centre[1] - y0) * across_y
    v0 = (centre[0] - x0) * down_x + (centre[1] - y0) * down_y
    out = np.empty((IRIS_VERTICES, 3), np.float32)
    for k in range(IRIS_VERTICES):
        # The rim starts at the outer corner's side and turns over the upper lid, as the contour does.
        angle = 2 * np.pi * k / RIM
        u = u0 - radius * np.cos(angle) if k < RIM else u0
        v = v0 - radius * np.sin(angle) if k < RIM else v0
        upper_v = np.interp(u, along[: half + 1], below[: half + 1])
        lower_v = np.interp(u, along[half:][::-1], below[half:][::-1])
        slack = min(SLACK * radius, 0.5 * max(float(lower_v - upper_v), 0.0))
        v = min(max(v, upper_v + slack), max(lower_v - slack, upper_v + slack))
        u = min(max(u, 0.02 * width), 0.98 * width)
        out[k, 0] = x0 + u * across_x + v * down_x
        out[k, 1] = y0 + u * across_y + v * down_y
        out[k, 2] = depth
    return out


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
