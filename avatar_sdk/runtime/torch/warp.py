"""The whole warp of many sessions: from portraits and motions to pictures and what the network sees of them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from avatar_sdk.runtime.torch import raster
from avatar_sdk.runtime.torch.crop import CropDrawer, CropRows
from avatar_sdk.runtime.torch.eyes import EyePainter
from avatar_sdk.runtime.torch.geometry import MeshMotion, MotionRows, Rows
from avatar_sdk.runtime.torch.mouth import MouthPainter
from avatar_sdk.runtime.torch.photos import Photos
from avatar_sdk.runtime.torch.picture import paint_over, soften_outlines
from avatar_sdk.warp.step import OUTLINE


class WarpRows(NamedTuple):
    """The warped frames of a tick.

    Attributes:
        image: (B, 3, H, W) whole numbers in [0, 255].
        crop: see `CropRows`.
        needed: (B,) tiles each session would have used; more than `BatchWarp.tiles` and something is missing.
    """

    image: Tensor
    crop: CropRows
    needed: Tensor


class BatchWarp:
    """Warps pictures of one size."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos
        self._size = height, width = photos.height, photos.width
        device = photos.device
        self.tiles = raster.capacity(height, width, photos.triangles)
        self._mesh = MeshMotion(device)
        self._mouth = MouthPainter(height, width, device)
        self._eyes = EyePainter(height, width, device)
        self._crop = CropDrawer(height, width, device)

    def step(self, motion: MotionRows, slot_B: Tensor) -> WarpRows:
        """Pictures and crops of the sessions in the slots `slot_B`, int64."""
        rows = self._photos.rows(slot_B)
        image, needed = self._drawn(motion, rows, slot_B)
        return WarpRows(image, self._crop.describe(image, motion, rows), needed)

    def pictures(self, motion: MotionRows, slot_B: Tensor) -> Tensor:
        """(B, 3, H, W) whole numbers in [0, 255]: the pictures alone."""
        return self._drawn(motion, self._photos.rows(slot_B), slot_B)[0]

    def _drawn(self, motion: MotionRows, rows: Rows, slot_B: Tensor) -> tuple[Tensor, Tensor]:
        photos, (height, width) = self._photos, self._size
        points = self._mesh.move(motion, rows)
        winners = raster.rasterise(points, rows["triangles"], height, width, self.tiles)
        batch = len(slot_B)
        corners = rows["corners"]
        places = rows["source"].gather(1, corners.flatten(1)[..., None].expand(-1, -1, 2)).view(batch, -1, 3, 2)
        source = raster.interpolated(points, rows["triangles"], places.transpose(2, 3), winners, height, width)
        seen = winners.triangle < photos.triangles
        image = paint_over(photos.background[slot_B].float(), photos.person[slot_B].float(), source, seen)
        image = soften_outlines(image, source, seen, OUTLINE * rows["face_width"][:, 0])
        image = self._mouth.paint(image, motion, rows, photos.image.view(-1), slot_B * (height * width))
        return self._eyes.paint(image, motion, rows), winners.needed
