"""One step of the warp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.warp.eyes import Eyes
from avatar_sdk.warp.frame import WarpedFrame
from avatar_sdk.warp.maps import CropView
from avatar_sdk.warp.mesh import Mesh, MeshConfig
from avatar_sdk.warp.mouth import Mouth
from avatar_sdk.warp.raster import pack_lanes, paint_over, rasterise

Pixels = NDArray[np.uint8]


class Warp:
    """One portrait, ready to move.

    Scratch buffers belong to the object: one thread at a time. What a step returns is new and never touched again.
    """

    def __init__(self, portrait: Portrait, mesh: MeshConfig | None = None) -> None:
        self.portrait = portrait
        self.mesh = Mesh(portrait.landmarks, mesh)
        self._source = self.mesh.source + np.float32(portrait.margin_px)
        self._triangles = _visible(self.mesh.triangles, self._source, portrait.person)
        self._lanes = pack_lanes(portrait.person)
        height, width = portrait.image.shape[:2]
        self._map_x, self._map_y, self._depth = (np.empty((height, width), np.float32) for _ in range(3))
        self._mouth = Mouth(portrait)
        self._eyes = Eyes(portrait)
        self._crop = CropView(portrait, self.mesh)

    def image(self, motion: Motion) -> Pixels:
        """The warped photo: (H, W, 3) uint8 RGB."""
        return self._image(motion, self.mesh.move(motion))

    def step(self, motion: Motion) -> WarpedFrame:
        """The warped photo with all that the network needs to know about it."""
        points = self.mesh.move(motion)
        image = self._image(motion, points)
        return self._crop.describe(image, motion, points)

    def _image(self, motion: Motion, points: NDArray[np.float32]) -> Pixels:
        rasterise(points, self._triangles, self._source, self._map_x, self._map_y, self._depth)
        image = self.portrait.background.copy()
        paint_over(image, self._lanes, self._map_x, self._map_y, self._depth)
        self._mouth.paint(image, motion)
        self._eyes.paint(image, motion)
        return image


def _visible(triangles: NDArray[np.int32], source: NDArray[np.float32], person: Pixels) -> NDArray[np.int32]:
    """The triangles that hold some of the person."""
    height, width = person.shape[:2]
    corners = source[triangles]
    low = np.floor(corners.min(1)).astype(int)
    high = np.ceil(corners.max(1)).astype(int) + 1
    keep = np.ones(len(triangles), bool)
    for i, ((x0, y0), (x1, y1)) in enumerate(zip(low, high, strict=True)):
        x0, x1 = np.clip((x0, x1), 0, width - 1)
        y0, y1 = np.clip((y0, y1), 0, height - 1)
        keep[i] = bool(person[y0 : y1 + 1, x0 : x1 + 1, 3].any())
    return np.ascontiguousarray(triangles[keep])
