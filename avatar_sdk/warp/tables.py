"""What a warp knows of its portrait, as plain arrays: for runtimes that move the photo on another device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.warp.step import Warp

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class WarpTables:
    """Everything that `Warp.step` reads and never changes, of one portrait. Lengths in output pixels.

    Attributes:
        person: (h, w, 4) uint8 RGBA, colours multiplied by alpha.
        background: (H, W, 3) uint8 RGB.
        image: (H, W, 3) uint8 RGB, the portrait.
        own_teeth: (H, W) uint8, how much of the mouth's inside the portrait shows.
        triangles, corners: (T, 3), vertices of each triangle in the frame and its places in `source`.
        source: (S, 2), places in `person`.
        landmarks: (478, 3).
        rings: (R, 3); follow: (R,); spread: (R, 36); shoulders_x: (2,); neck: (3,): see `Mesh`.
        body: travel and scale of an untracked body.
        face_width: the face width.
        axes: (3, 3), columns: the head's right-to-left, downward and forward axes.
        face_px, face_centre: size (1,) and middle (3,) of the face, which the crop follows.
        lip_opening: how open the lips are. Unit: distances between the outer eye corners.
        areas: (852,), twice the signed area of each face triangle.
        seen: (468,) in [0, 1], how well the portrait shows each vertex.
        feather: (256, 256) in [0, 1], the crop's soft border.
        mouth_unit, mouth_depth: distance between the outer eye corners and depth of the teeth.
        to_mouth: (2, 3), portrait pixels to the mouth's own coordinates.
        mouth_colours: (3, 3), teeth, cavity, tongue; mouth_shape: (3,), see `Mouth`.
        painted: whether a mouth is painted at all, and whether the portrait shows teeth.
        eye_opening: (2,), eye_gaze: (2, 2), eye_colours: (2, 2, 3): right eye, left eye; see `Eyes`.
    """

    person: Pixels
    background: Pixels
    image: Pixels
    own_teeth: Pixels
    triangles: Indices
    corners: Indices
    source: Floats
    landmarks: Floats
    rings: Floats
    follow: Floats
    spread: Floats
    shoulders_x: Floats
    neck: Floats
    body: Floats
    face_width: Floats
    axes: Floats
    face_px: Floats
    face_centre: Floats
    lip_opening: Floats
    areas: Floats
    seen: Floats
    feather: Floats
    mouth_unit: Floats
    mouth_depth: Floats
    to_mouth: Floats
    mouth_colours: Floats
    mouth_shape: Floats
    painted: Floats
    eye_opening: Floats
    eye_gaze: Floats
    eye_colours: Floats


def tables_of(warp: Warp) -> WarpTables:
    """Takes a prepared warp apart. Arrays may be the warp's own: they are not to be written."""
    portrait, mesh, mouth, view = warp.portrait, warp.mesh, warp._mouth, warp._crop
    eyes = warp._eyes._eyes

    def floats(*values: object) -> Floats:
        return np.asarray(values[0] if len(values) == 1 else values, np.float32)

    return WarpTables(
        person=portrait.person,
        background=portrait.background,
        image=portrait.image,
        own_teeth=mouth._own_teeth if mouth else np.zeros(portrait.image.shape[:2], np.uint8),
        triangles=warp._triangles.astype(np.int64),
        corners=warp._corners.astype(np.int64),
        source=warp._source,
        landmarks=portrait.landmarks,
        rings=floats(mesh._rings.reshape(-1, 3)),
        follow=floats(mesh._follow[:, 0]),
        spread=floats(mesh._spread),
        shoulders_x=floats(mesh._shoulders_x),
        neck=floats(mesh.neck),
        body=floats(mesh.config.body_travel, mesh.config.body_scale),
        face_width=floats([mesh.width]),
        axes=floats(mesh.axes),
        face_px=floats([view._face_px]),
        face_centre=floats(view._centre),
        lip_opening=floats([view._opening]),
        areas=floats(view._area),
        seen=floats(view._seen),
        feather=view._feather,
        mouth_unit=floats([mouth._unit if mouth else 1.0]),
        mouth_depth=floats([mouth._depth if mouth else 0.0]),
        to_mouth=floats(mouth._to_mouth) if mouth else np.zeros((2, 3), np.float32),
        mouth_colours=floats(mouth._colours) if mouth else np.zeros((3, 3), np.float32),
        mouth_shape=floats(mouth._shape) if mouth else np.ones(3, np.float32),
        painted=floats(mouth is not None, mouth is not None and bool(mouth._own_teeth.any())),
        eye_opening=floats([eye._opening for eye in eyes]),
        eye_gaze=floats([eye._gaze for eye in eyes]),
        eye_colours=floats([eye._colours for eye in eyes]),
    )
