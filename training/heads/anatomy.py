"""The average face, and how skin follows what pulls it.

Centimetres; x to the subject's left (right in the picture), y up, z to the camera; the origin lies between the eyes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    MESH_LANDMARKS,
    OVAL,
    TRIANGLES,
)

Floats = NDArray[np.float64]
Handles = Mapping[int, Sequence[float]]


def _load() -> Floats:
    with as_file(files("training.heads") / "assets" / "base_face.npy") as path:
        return np.load(path).astype(np.float64)


FACE: Final = _load()
"""(478, 3): 468 points of the skin, then the irises. By `tools/make_base_face.py`."""
SKIN: Final = FACE[:MESH_LANDMARKS]
HALF: Final = len(LIPS_INNER) // 2
"""Upper lips run from index 0 to here, both corners included; lower lips go back."""
UPPER_INNER, LOWER_INNER = LIPS_INNER[: HALF + 1], np.r_[LIPS_INNER[0], LIPS_INNER[:HALF:-1], LIPS_INNER[HALF]]
UPPER_OUTER, LOWER_OUTER = LIPS_OUTER[: HALF + 1], np.r_[LIPS_OUTER[0], LIPS_OUTER[:HALF:-1], LIPS_OUTER[HALF]]
"""Lips from the right corner to the left one."""
LIPS: Final = np.r_[LIPS_INNER, LIPS_OUTER]
EYES: Final = np.r_[EYE_RIGHT, EYE_LEFT]
BROWS: Final = np.r_[BROW_RIGHT, BROW_LEFT]
NOSE_SKIN: Final = np.array([1, 4, 5, 6, 168, 195, 197, 2, 98, 327, 94, 48, 278, 64, 294, 122, 351])
TOP_OF_OVAL: Final = OVAL[SKIN[OVAL, 1] > -3.5]
HEAD_CENTRE: Final = np.array([0.0, -1.0, -7.0])
JAW_HINGE: Final = np.array([0.0, -4.6, -6.0])
LID_POINTS: Final = 9
"""Points of each lid, both corners included."""


def lids(eye: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Upper and lower lid from the outer to the inner corner."""
    return eye[:LID_POINTS], np.r_[eye[0], eye[: LID_POINTS - 2 : -1]]


def mirror_partner(points: Floats) -> NDArray[np.int64]:
    """For each point the one across the middle of a symmetric face."""
    flipped = points * (-1, 1, 1)
    return np.asarray(((flipped[:, None] - points[None]) ** 2).sum(-1).argmin(1))


MIRROR: Final = mirror_partner(SKIN)


def _bilaplacian() -> Floats:
    adjacent = np.zeros((MESH_LANDMARKS, MESH_LANDMARKS))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        adjacent[TRIANGLES[:, a], TRIANGLES[:, b]] = adjacent[TRIANGLES[:, b], TRIANGLES[:, a]] = 1
    laplacian = np.eye(MESH_LANDMARKS) - adjacent / adjacent.sum(1, keepdims=True)
    return np.asarray(laplacian.T @ laplacian)


_STIFFNESS: Final = _bilaplacian()


def pull(handles: Handles, still: Sequence[int] | NDArray[np.int64]) -> Floats:
    """(468, 3) displacement of the skin when some points are pulled and others held: the smoothest there is.

    A biharmonic deformation: it minimises the squared Laplacian of the displacement (Botsch & Kobbelt 2004).
    """
    held = [int(i) for i in still if int(i) not in handles]
    fixed = np.array([*handles, *held])
    given = np.concatenate([np.array(list(handles.values()), np.float64), np.zeros((len(held), 3))])
    free = np.setdiff1d(np.arange(MESH_LANDMARKS), fixed)
    moved = np.zeros((MESH_LANDMARKS, 3))
    moved[fixed] = given
    inner = _STIFFNESS[np.ix_(free, free)] + 1e-9 * np.eye(len(free))
    moved[free] = np.linalg.solve(inner, -_STIFFNESS[np.ix_(free, fixed)] @ given)
    return moved


def turned(points: Floats, degrees: float, pivot: Floats) -> Floats:
    """Points (N, 3) turned about the x axis through `pivot`; positive opens the jaw."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = (points - pivot).T
    return np.asarray(np.stack([x, cos * y - sin * z, sin * y + cos * z], 1) + pivot)


def lid_opening(landmarks: Floats) -> Floats:
    """(2,) height over width of the right and the left eye of (n ≥ 468, 2 or 3) landmarks."""
    openings = []
    for eye in (EYE_RIGHT, EYE_LEFT):
        across = np.linalg.norm(landmarks[eye[0], :2] - landmarks[eye[8], :2])
        openings.append(np.linalg.norm(landmarks[eye[4], :2] - landmarks[eye[12], :2]) / across)
    return np.array(openings)
