"""The face-aligned crops of many sessions and what the network is told about them: `avatar_sdk.warp.maps`, batched.

B sessions, M maps, V vertices, T face triangles.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_sdk.runtime.torch import raster
from avatar_sdk.runtime.torch.drawing import blurred, disc, edges_of, inside, lines, over, taps
from avatar_sdk.runtime.torch.geometry import MotionRows, Rows
from avatar_sdk.runtime.torch.mouth import lip_opening
from avatar_sdk.runtime.torch.patch import sixteenths
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
from avatar_sdk.warp.frame import CROP_PX
from avatar_sdk.warp.maps import COARSE_PX, CROP_FACES, MOVED, OPENED, TURNED

FILLED: Final = (OVAL, LIPS_OUTER, LIPS_INNER, EYE_RIGHT, EYE_LEFT)
OPEN_LAYER: Final = len(FILLED)
"""Brows and nose are only drawn as lines, all in this layer."""
LONGEST: Final = 64
"""Pixels of a contour's edge that are drawn in the crop, where the longest are some twenty."""
GATE_BLUR: Final = 0.04
MOUTH_BLUR: Final = 0.015


class CropRows(NamedTuple):
    """What `WarpedFrame` holds beside the image, as whole numbers in [0, 255].

    Attributes:
        guide: (B, 11, 256, 256), RGB of the crop and the pose maps.
        gate: (B, 256, 256).
        affine: (B, 2, 3), output pixels → crop pixels.
    """

    guide: Tensor
    gate: Tensor
    affine: Tensor


class CropDrawer:
    """Draws the crops of one output size."""

    def __init__(self, height: int, width: int, device: str) -> None:
        self._filled = [torch.tensor(part, device=device) for part in FILLED]
        self._closed = [torch.tensor(part, device=device) for part in (BROW_RIGHT, BROW_LEFT)]
        self._nose = torch.tensor(NOSE, device=device)
        counts = [len(part) for part in FILLED]
        loose = len(BROW_RIGHT) + len(BROW_LEFT) + len(NOSE) - 1
        layers = [k for k, count in enumerate(counts) for _ in range(count)] + [OPEN_LAYER] * loose
        self._layer = torch.tensor(layers, device=device)
        self._triangles = torch.from_numpy(TRIANGLES.astype(np.int64)).to(device)
        self._around = torch.from_numpy(_around()).to(device)
        self._degree = (self._around < len(TRIANGLES)).sum(1).to(device)
        self._eyes = [
            (torch.tensor(lids, device=device), torch.tensor(iris, device=device))
            for lids, iris in ((EYE_RIGHT, IRIS_RIGHT), (EYE_LEFT, IRIS_LEFT))
        ]
        line = torch.arange(CROP_PX, device=device, dtype=torch.float32)
        self._crop_xy = torch.stack([line.expand(CROP_PX, -1), line[:, None].expand(-1, CROP_PX)], -1)
        self._span = torch.tensor([width - 1, height - 1], device=device)
        self._tiles = raster.capacity(COARSE_PX, COARSE_PX, len(TRIANGLES))

    def affine(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B, 2, 3): output pixels → crop pixels, a similarity that follows the head."""
        turned = motion.rotation @ torch.stack([rows["face_centre"], rows["axes"][:, :, 0]], 2)
        centre = motion.scale[:, None] * turned[..., 0] + motion.translation
        across = turned[:, :2, 1]
        cos, sin = (across / across.norm(dim=1, keepdim=True).clamp(min=1e-3)).unbind(1)
        scale = CROP_PX / (CROP_FACES * rows["face_px"][:, 0] * motion.scale)
        linear = scale[:, None, None] * torch.stack([cos, sin, -sin, cos], 1).unflatten(1, (2, 2))
        offset = (CROP_PX - 1) / 2 - (linear @ centre[:, :2, None])
        return torch.cat([linear, offset], 2)

    def describe(self, image_B3HW: Tensor, motion: MotionRows, rows: Rows) -> CropRows:
        """Crop, maps and gate of the warped images, whole numbers in [0, 255]."""
        affine = self.affine(motion, rows)
        crop = self._crop(image_B3HW, affine)
        xy = motion.landmarks[..., :2] @ affine[..., :2].transpose(1, 2) + affine[:, None, :, 2]
        drawn = self._drawn(xy)
        placed = torch.cat([xy, motion.landmarks[..., 2:]], -1)
        fields, gate = self._fields(drawn, placed, motion, rows)
        return CropRows(torch.cat([crop, drawn, fields], 1), gate, affine)

    def _crop(self, image_B3HW: Tensor, affine: Tensor) -> Tensor:
        """(B, 3, 256, 256): the image seen through the crop; its edge goes on beyond it."""
        a, b = affine[:, 0, 0], affine[:, 0, 1]
        inverse = torch.stack([a, -b, b, a], 1).unflatten(1, (2, 2)) / (a * a + b * b).clamp(min=1e-12)[:, None, None]
        xy = (self._crop_xy - affine[:, None, None, :, 2]) @ inverse[:, None].transpose(2, 3)
        seen = F.grid_sample(image_B3HW, 2 * xy / self._span - 1, padding_mode="border", align_corners=True)
        return seen.round()

    def _drawn(self, xy: Tensor) -> Tensor:
        """(B, 6, 256, 256): contours, iris, inner mouth, lips, eyes, face."""
        points = sixteenths(xy)
        outlines = [edges_of(points[:, part]) for part in (*self._filled, *self._closed)]
        edges = torch.cat([*outlines, edges_of(points[:, self._nose], closed=False)], 1)
        borders = lines(edges, self._layer, OPEN_LAYER + 1, CROP_PX, CROP_PX, LONGEST)
        parts = [
            over(inside(outline, CROP_PX, CROP_PX), borders[:, k]) for k, outline in enumerate(outlines[:OPEN_LAYER])
        ]
        face, outer, inner, right, left = parts
        contours = (255 * (1 - (1 - borders).prod(1))).round()
        eyes = torch.maximum(right, left)
        irises = []
        for _, ring in self._eyes:
            centre = xy[:, ring[0]]
            radius = (xy[:, ring[1:]] - centre[:, None]).norm(dim=-1).mean(1)
            irises.append(disc(sixteenths(centre), sixteenths(radius), CROP_PX, CROP_PX))
        iris = torch.minimum(torch.maximum(*irises), eyes)
        return torch.stack([contours, iris, inner, (outer - inner).clamp(min=0), eyes, face], 1)

    def _fields(self, drawn: Tensor, placed: Tensor, motion: MotionRows, rows: Rows) -> tuple[Tensor, Tensor]:
        """Stretch and visibility (B, 2, 256, 256), and the gate (B, 256, 256)."""
        ratio = COARSE_PX / CROP_PX
        points = torch.cat([(placed[..., :2] + 0.5) * ratio - 0.5, placed[..., 2:]], -1)[:, :MESH_LANDMARKS]
        turned = self._turned(motion)
        values = torch.stack(
            [
                self._to_vertices(self._stretch(motion, rows)),
                rows["seen"],
                torch.maximum(self._moved(motion, rows), turned[:, None]),
            ],
            -1,
        )
        batch = len(values)
        triangles = self._triangles.expand(batch, -1, -1)
        winners = raster.rasterise(points, triangles, COARSE_PX, COARSE_PX, self._tiles)
        corner_values = values[:, self._triangles].transpose(2, 3)
        planes = raster.interpolated(points, triangles, corner_values, winners, COARSE_PX, COARSE_PX)
        none = torch.stack([torch.zeros_like(turned), torch.ones_like(turned), turned], 1)[:, None]
        planes = torch.where((winners.triangle < len(TRIANGLES))[..., None], planes, none)
        stretch, seen, gate = planes.transpose(1, 2).unflatten(2, (COARSE_PX, COARSE_PX)).split(1, 1)
        soft = torch.maximum(_blur(gate, GATE_BLUR * COARSE_PX, 4.0), gate)
        soft = self._mouth_gate(soft, drawn, motion, rows)
        coarse = torch.cat([torch.floor((128 + 40 * stretch).clamp(0, 255)), torch.floor(255 * seen)], 1)
        return _grown(coarse).round(), torch.floor(_grown(soft)[:, 0] * rows["feather"] * 255 + 0.5)

    def _mouth_gate(self, soft: Tensor, drawn: Tensor, motion: MotionRows, rows: Rows) -> Tensor:
        """The gate is shut over a mouth that is as open as the portrait's, and open inside one that is not."""
        low, high = OPENED
        apart = (lip_opening(motion.landmarks) - rows["lip_opening"][:, 0]).abs()
        alike = 1 - ((apart - low) / (high - low)).clamp(0, 1)[:, None, None, None]
        inner = F.avg_pool2d(drawn[:, 2:3], 2).round()
        soft = torch.maximum(soft, (1 - alike) / 255 * inner)
        mouth = F.avg_pool2d(torch.maximum(drawn[:, 2:3], drawn[:, 3:4]), 2).round()
        mouth = _blur(F.max_pool2d(mouth, 3, 1, 1), MOUTH_BLUR * COARSE_PX, 3.0).round()
        return soft * (1 - alike / 255 * mouth)

    def _turned(self, motion: MotionRows) -> Tensor:
        """(B,) in [0, 1]: how far the head is turned away from the portrait's."""
        trace = motion.rotation.diagonal(dim1=1, dim2=2).sum(1)
        angle = torch.arccos(((trace - 1) / 2).clamp(-1, 1))
        return ((angle - TURNED[0]) / (TURNED[1] - TURNED[0])).clamp(0, 1)

    def _moved(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B, 468) in [0, 1]: how far the expression took each vertex."""
        turn = motion.scale[:, None, None] * motion.rotation.transpose(1, 2)
        rigid = rows["landmarks"] @ turn + motion.translation[:, None]
        away = (motion.landmarks - rigid).norm(dim=-1) / (rows["face_width"] * motion.scale[:, None])
        moved = away[:, :MESH_LANDMARKS].clone()
        for lids, iris in self._eyes:
            moved[:, lids] = torch.maximum(moved[:, lids], away[:, iris].mean(1, keepdim=True))
        return ((moved - MOVED[0]) / (MOVED[1] - MOVED[0])).clamp(0, 1)

    def _stretch(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B, T): logarithm of how much larger each triangle is than in the portrait."""
        a, b, c = motion.landmarks[:, self._triangles, :2].unbind(2)
        area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (c[..., 0] - a[..., 0]) * (b[..., 1] - a[..., 1])
        area = area / motion.scale.square()[:, None]
        return torch.log((area.abs() + 0.3) / (rows["areas"].abs() + 0.3))

    def _to_vertices(self, per_triangle_BT: Tensor) -> Tensor:
        """(B, 468): mean over the triangles around each vertex."""
        padded = F.pad(per_triangle_BT, (0, 1))
        return padded[:, self._around].sum(-1) / self._degree


def _around() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(468, most): the triangles around each vertex; their number where there are no more."""
    lists: list[list[int]] = [[] for _ in range(MESH_LANDMARKS)]
    for triangle, corners in enumerate(TRIANGLES):
        for vertex in corners:
            lists[vertex].append(triangle)
    most = max(map(len, lists))
    return np.array([own + [len(TRIANGLES)] * (most - len(own)) for own in lists], np.int64)


def _blur(plane_B1HW: Tensor, sigma: float, reach: float) -> Tensor:
    """A Gaussian as wide as OpenCV's: `reach` sigmas to each side, 4 for floats and 3 for bytes."""
    radius = max(1, round(sigma * reach))
    return blurred(plane_B1HW, taps(torch.full_like(plane_B1HW[:, 0, 0, 0], sigma), radius))


def _grown(coarse: Tensor) -> Tensor:
    return F.interpolate(coarse, (CROP_PX, CROP_PX), mode="bilinear", align_corners=False)
