"""One step of the warp."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.topology import MESH_LANDMARKS, TRIANGLES
from avatar_sdk.warp.eyes import Eyes
from avatar_sdk.warp.frame import WarpedFrame
from avatar_sdk.warp.maps import CropView
from avatar_sdk.warp.mesh import FIRST_RING, SPOKES, Mesh, MeshConfig
from avatar_sdk.warp.mouth import Mouth
from avatar_sdk.warp.raster import FAR, pack_lanes, paint_over, rasterise, soften_outlines
from avatar_sdk.warp.visibility import VisibilityConfig, hidden, mirrored

Pixels = NDArray[np.uint8]

OUTLINE: Final = 0.03
"""Neighbours that were this far apart in the portrait belong to different parts. Unit: face widths."""


class Warp:
    """One portrait, ready to move.

    Scratch buffers belong to the object: one thread at a time. What a step returns is new and never touched again.
    """

    def __init__(self, portrait: Portrait, mesh: MeshConfig | None = None, *, painted_mouth: bool = True) -> None:
        """`painted_mouth`: whether teeth, tongue and cavity are painted where the photo cannot show them."""
        self.portrait = portrait
        self.mesh = Mesh(portrait.landmarks, mesh)
        self._lanes = pack_lanes(portrait.person)
        height, width = portrait.image.shape[:2]
        self._map_x, self._map_y, self._depth = (np.empty((height, width), np.float32) for _ in range(3))
        self._source = np.concatenate([self.mesh.source, mirrored(portrait.landmarks, self.mesh.axes[:, 0])[:, :2]])
        self._source += np.float32(portrait.margin_px)
        self._choose_triangles()
        self._mouth = Mouth(portrait) if painted_mouth else None
        self._eyes = Eyes(portrait)
        self._crop = CropView(portrait, self.mesh)

    def _choose_triangles(self) -> None:
        """Leaves out what the portrait does not hold; the face's other side stands in for its hidden parts."""
        mesh = self.mesh
        points = np.concatenate([mesh.source, np.zeros((len(mesh.source), 1), np.float32)], 1)
        points[:MESH_LANDMARKS, 2] = mesh.landmarks[:MESH_LANDMARKS, 2]
        skin = mesh.triangles[: len(TRIANGLES)]
        rasterise(points, skin, self._source, skin, self._map_x, self._map_y, self._depth)
        missing = hidden(mesh.landmarks, mesh.axes[:, 0], self._depth, mesh.width, VisibilityConfig())
        corners = mesh.triangles.copy()
        corners[: len(skin)][missing] += len(mesh.source)
        keep = _holding(mesh.triangles, self._source, self.portrait.person)
        # What surrounds a turned face is partly behind it in the portrait, where the photo shows the face.
        rings = (_at(self._depth, mesh.source[FIRST_RING:]) < FAR).reshape(-1, SPOKES)
        if rings.any():
            rings |= np.roll(rings, 1, 1) | np.roll(rings, -1, 1)
            rings[1:] |= rings[:-1]
            covered = np.concatenate([np.zeros(FIRST_RING, bool), rings.ravel()])
            keep &= ~covered[mesh.triangles].any(1)
        self._triangles = np.ascontiguousarray(mesh.triangles[keep])
        self._corners = np.ascontiguousarray(corners[keep])

    def image(self, motion: Motion) -> Pixels:
        """The warped photo: (H, W, 3) uint8 RGB."""
        return self._image(motion, self.mesh.move(motion))

    def step(self, motion: Motion) -> WarpedFrame:
        """The warped photo with all that the network needs to know about it."""
        points = self.mesh.move(motion)
        image = self._image(motion, points)
        return self._crop.describe(image, motion, points)

    def _image(self, motion: Motion, points: NDArray[np.float32]) -> Pixels:
        rasterise(points, self._triangles, self._source, self._corners, self._map_x, self._map_y, self._depth)
        image = self.portrait.background.copy()
        paint_over(image, self._lanes, self._map_x, self._map_y, self._depth)
        jump = np.float32(OUTLINE * self.mesh.width)
        soften_outlines(image, self._map_x, self._map_y, self._depth, jump)
        if self._mouth:
            self._mouth.paint(image, motion)
        self._eyes.paint(image, motion)
        return image


def _holding(triangles: NDArray[np.int32], source: NDArray[np.float32], person: Pixels) -> NDArray[np.bool_]:
    """(T,): which triangles hold some of the person."""
    height, width = person.shape[:2]
    corners = source[triangles]
    low = np.floor(corners.min(1)).astype(int).clip(0, (width - 1, height - 1))
    high = np.ceil(corners.max(1)).astype(int).clip(0, (width - 1, height - 1)) + 1
    count = cv2.integral((person[..., 3] > 0).astype(np.uint8))
    (x0, y0), (x1, y1) = low.T, high.T
    return np.asarray(count[y1, x1] - count[y0, x1] - count[y1, x0] + count[y0, x0] > 0)


def _at(values: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,): `values` (H, W) at the pixels nearest to `points` (N, 2)."""
    height, width = values.shape
    x, y = points.round().astype(int).clip(0, (width - 1, height - 1)).T
    return np.asarray(values[y, x])
