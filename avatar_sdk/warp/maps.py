"""The face-aligned crop and its pose maps: what the network is told about a warped frame."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    MESH_LANDMARKS,
    NOSE,
    OVAL,
    TRIANGLES,
)
from avatar_sdk.warp.frame import CROP_PX, POSE_MAPS, WarpedFrame
from avatar_sdk.warp.mesh import Mesh
from avatar_sdk.warp.mouth import lip_opening
from avatar_sdk.warp.raster import rasterise_values
from avatar_sdk.warp.visibility import facing

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

CROP_FACES: Final = 1.5
"""Side of the crop. Unit: the portrait's face size."""
COARSE_PX: Final = 128
"""Stretch, visibility and the gate vary slowly and are drawn at this size."""
FEATHER: Final = 0.08
"""Width of the gate's soft border. Unit: the crop's side."""
MOVED: Final = (0.006, 0.03)
"""Expression below the first changes nothing that a network should touch, above the second all.
Unit: face widths."""
TURNED: Final = (0.10, 0.35)
"""The same for the angle of the head against the portrait's. Unit: radians."""
OPENED: Final = (0.015, 0.05)
"""The same for the lips, which show what the portrait shows when they are about as open: its own teeth, or none.
Unit: distances between the outer eye corners, by which the opening differs."""
_SHIFT: Final = 4


class CropView:
    """Draws one portrait's crops."""

    def __init__(self, portrait: Portrait, mesh: Mesh) -> None:
        self._mesh = mesh
        self._portrait = portrait
        points = portrait.landmarks
        self._face_px = float(np.ptp(points[:, :2], axis=0).max())
        low, high = points[OVAL].min(0), points[OVAL].max(0)
        self._centre = (low + high) / 2
        self._across = mesh.axes[:, 0]
        self._opening = lip_opening(points)
        self._triangles = TRIANGLES.astype(np.int32)
        self._area = _areas(points[:MESH_LANDMARKS, :2])
        self._count = np.bincount(self._triangles.ravel(), minlength=MESH_LANDMARKS).astype(np.float32)
        self._seen = np.clip(self._to_vertices(facing(points)) * 2.5, 0, 1)
        edge = np.minimum(np.arange(CROP_PX) + 0.5, CROP_PX - 0.5 - np.arange(CROP_PX)) / (FEATHER * CROP_PX)
        edge = np.clip(edge, 0, 1)
        edge = edge * edge * (3 - 2 * edge)
        self._feather = np.minimum.outer(edge, edge).astype(np.float32)
        self._planes = np.zeros((3, COARSE_PX, COARSE_PX), np.float32)
        self._depth = np.empty((COARSE_PX, COARSE_PX), np.float32)

    def affine(self, motion: Motion) -> Floats:
        """(2, 3): output pixels → crop pixels."""
        centre = motion.head_scale * motion.head_rotation @ self._centre + motion.head_translation
        across = motion.head_rotation @ self._across
        length = max(float(np.hypot(across[0], across[1])), 1e-3)
        cos, sin = across[0] / length, across[1] / length
        scale = CROP_PX / (CROP_FACES * self._face_px * motion.head_scale)
        linear = scale * np.array([[cos, sin], [-sin, cos]])
        offset = (CROP_PX - 1) / 2 - linear @ centre[:2]
        return np.asarray(np.concatenate([linear, offset[:, None]], 1), np.float32)

    def describe(self, image: Pixels, motion: Motion, points: Floats) -> WarpedFrame:
        """Crop, maps and gate of a warped `image`; `points` are the moved mesh's vertices."""
        affine = self.affine(motion)
        crop = cv2.warpAffine(
            image, affine, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        placed = motion.landmarks.copy()
        placed[:, :2] = placed[:, :2] @ affine[:, :2].T + affine[:, 2]
        maps = np.zeros((len(POSE_MAPS), CROP_PX, CROP_PX), np.uint8)
        _draw(maps, placed[:, :2])
        gate = self._fields(maps, placed, motion)
        return WarpedFrame(image, crop, maps, gate, affine)

    def _fields(self, maps: Pixels, placed: Floats, motion: Motion) -> Pixels:
        """Draws stretch and visibility into `maps`; returns the gate."""
        scale = COARSE_PX / CROP_PX
        points = placed[:MESH_LANDMARKS].copy()
        points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
        area = _areas(motion.landmarks[:MESH_LANDMARKS, :2]) / motion.head_scale**2
        stretch = np.log((np.abs(area) + 0.3) / (np.abs(self._area) + 0.3))
        rigid = motion.head_scale * self._portrait.landmarks @ motion.head_rotation.T + motion.head_translation
        away = np.linalg.norm(motion.landmarks - rigid, axis=1) / (self._mesh.width * motion.head_scale)
        moved = away[:MESH_LANDMARKS].copy()
        for lids, iris in ((EYE_RIGHT, IRIS_RIGHT), (EYE_LEFT, IRIS_LEFT)):
            moved[lids] = np.maximum(moved[lids], away[iris].mean())
        moved = np.clip((moved - MOVED[0]) / (MOVED[1] - MOVED[0]), 0, 1)
        angle = float(np.arccos(np.clip((np.trace(motion.head_rotation) - 1) / 2, -1, 1)))
        turned = float(np.clip((angle - TURNED[0]) / (TURNED[1] - TURNED[0]), 0, 1))
        gate = np.maximum(moved, turned)
        values = np.stack([self._to_vertices(stretch), self._seen, gate], 1).astype(np.float32)
        self._planes[0], self._planes[1], self._planes[2] = 0, 1, turned
        rasterise_values(points, self._triangles, values, self._planes, self._depth)
        size = (CROP_PX, CROP_PX)
        soft = cv2.GaussianBlur(self._planes[2], (0, 0), 0.04 * COARSE_PX)
        soft = np.maximum(soft, self._planes[2])
        low, high = OPENED
        alike = 1 - float(np.clip((abs(lip_opening(motion.landmarks) - self._opening) - low) / (high - low), 0, 1))
        inner = cv2.resize(maps[2], soft.shape, interpolation=cv2.INTER_AREA)
        soft = np.maximum(soft, (1 - alike) / 255 * inner.astype(np.float32))
        if alike:
            mouth = cv2.resize(cv2.max(maps[2], maps[3]), soft.shape, interpolation=cv2.INTER_AREA)
            soft *= 1 - alike / 255 * cv2.GaussianBlur(cv2.dilate(mouth, None), (0, 0), 0.015 * COARSE_PX)
        maps[6] = cv2.resize((128 + 40 * self._planes[0]).clip(0, 255).astype(np.uint8), size)
        maps[7] = cv2.resize((255 * self._planes[1]).astype(np.uint8), size)
        return np.asarray(cv2.resize(soft, size) * self._feather * 255 + 0.5, np.uint8)

    def _to_vertices(self, per_triangle: Floats) -> Floats:
        """Mean over the triangles around each vertex."""
        weights = np.repeat(per_triangle, 3)
        total = np.bincount(self._triangles.ravel(), weights=weights, minlength=MESH_LANDMARKS)
        return np.asarray(total / self._count, np.float32)


def _areas(points: Floats) -> Floats:
    """Twice the signed area of each face triangle on the screen."""
    a, b, c = points[TRIANGLES[:, 0]], points[TRIANGLES[:, 1]], points[TRIANGLES[:, 2]]
    return np.asarray((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]), np.float32)


def _draw(maps: Pixels, points: Floats) -> None:
    """Draws contours, iris, inner mouth, lips, eyes and face into their channels."""
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    contours, iris, inner, lips, eyes, face = maps[:6]
    closed = [fixed[part] for part in (OVAL, LIPS_OUTER, LIPS_INNER, EYE_RIGHT, EYE_LEFT, BROW_RIGHT, BROW_LEFT)]
    cv2.polylines(contours, closed, True, 255, 1, cv2.LINE_AA, _SHIFT)
    cv2.polylines(contours, [fixed[NOSE]], False, 255, 1, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(face, [fixed[OVAL]], 255, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(inner, [fixed[LIPS_INNER]], 255, cv2.LINE_AA, _SHIFT)
    cv2.fillPoly(lips, [fixed[LIPS_OUTER]], 255, cv2.LINE_AA, _SHIFT)
    cv2.subtract(lips, inner, dst=lips)
    for lids, ring in ((EYE_RIGHT, IRIS_RIGHT), (EYE_LEFT, IRIS_LEFT)):
        cv2.fillPoly(eyes, [fixed[lids]], 255, cv2.LINE_AA, _SHIFT)
        radius = float(np.linalg.norm(points[ring[1:]] - points[ring[0]], axis=1).mean())
        cv2.circle(iris, fixed[ring[0]].tolist(), round(radius * (1 << _SHIFT)), 255, -1, cv2.LINE_AA, _SHIFT)
    cv2.min(iris, eyes, dst=iris)
