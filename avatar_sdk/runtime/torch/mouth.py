"""The painted inside of many mouths: `avatar_sdk.warp.mouth`, batched.

B sessions, S side of the painted window.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from avatar_sdk.runtime.torch.drawing import blurred, filled, taps
from avatar_sdk.runtime.torch.geometry import MotionRows, Rows, interpolate, smoothstep
from avatar_sdk.runtime.torch.patch import Patch, even, sixteenths, unpacked
from avatar_sdk.topology import LIPS_INNER
from avatar_sdk.warp.mouth import COLUMNS, MouthConfig

WINDOW: Final = 0.5
"""Side of the painted window. Unit: the output's shorter side."""
WIDEST_BLUR: Final = 1 / 64
"""Radius of the mask's blur. Unit: the output's shorter side."""


def lip_opening(landmarks_BV3: Tensor) -> Tensor:
    """(B,): gap of the lips. Unit: the distance between the outer eye corners."""
    pairs = ((81, 178), (13, 14), (311, 402))
    gap = torch.stack([landmarks_BV3[:, a] - landmarks_BV3[:, b] for a, b in pairs], 1)
    apart = (landmarks_BV3[:, 33] - landmarks_BV3[:, 263]).norm(dim=1)
    return gap.norm(dim=-1).mean(1) / apart.clamp(min=1e-6)


class MouthPainter:
    """Paints the mouths of one output size."""

    def __init__(self, height: int, width: int, device: str, config: MouthConfig | None = None) -> None:
        self._config = config or MouthConfig()
        self._size = height, width
        self._side = min(even(WINDOW * min(height, width)), min(height, width))
        self._radius = max(2, round(WIDEST_BLUR * min(height, width)))
        self._lips = torch.tensor(LIPS_INNER, device=device)
        self._columns = torch.linspace(-1.2, 1.2, COLUMNS, device=device)

    def paint(self, image_B3HW: Tensor, motion: MotionRows, rows: Rows, photos: Tensor, start_B: Tensor) -> Tensor:
        """The image with what the photo cannot show; unchanged where the mouth is about as open as in the portrait.

        Args:
            image_B3HW: whole numbers in [0, 255].
            motion: of every session.
            rows: of every session.
            photos: int32, packed portraits of all slots with their own teeth as fourth channel.
            start_B: where each session's portrait starts in `photos`.
        """
        lips = motion.landmarks[:, self._lips, :2]
        patch = Patch.around(lips, *self._size, self._side)
        corner = patch.corner.float()
        outline = sixteenths(lips - corner[:, None])
        mask = filled(outline, self._side, self._side)
        sigma = (0.007 * rows["mouth_unit"][:, 0] * motion.scale).clamp(min=0.6)
        mask = blurred(mask[:, None], taps(sigma, self._radius))[:, 0].round()
        weight = mask / 255 * self._amount(motion, rows)[:, None, None]
        weight = torch.where(weight < 0.004, 0.0, weight)[..., None]
        to_portrait = self._to_portrait(motion, rows)
        photo_xy = patch.pixels() @ to_portrait[:, None, :, :2].transpose(2, 3) + to_portrait[:, None, None, :, 2]
        to_mouth = rows["to_mouth"]
        place = photo_xy @ to_mouth[:, None, :, :2].transpose(2, 3) + to_mouth[:, None, None, :, 2]
        painted = self._inside(place, self._edges(lips, to_portrait, to_mouth), rows)
        own, teeth = self._own(photo_xy, photos, start_B)
        painted = painted + teeth * (own - painted)
        before = patch.read(image_B3HW)
        after = torch.floor((before + weight * (painted - before) + 0.5).clamp(0, 255))
        return patch.write(image_B3HW, torch.where(weight > 0, after, before))

    def _amount(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B,) in [0, 1]: how much of the painted mouth shows."""
        more = lip_opening(motion.landmarks) - rows["lip_opening"][:, 0]
        low, high = self._config.opens
        wider = (more - low) / (high - low)
        low, high = self._config.closes
        narrower = torch.where(rows["painted"][:, 1] > 0, (-more - low) / (high - low), 0.0)
        return torch.maximum(wider, narrower).clamp(0, 1) * rows["painted"][:, 0]

    def _to_portrait(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B, 2, 3): output pixels → the portrait's, for points on the teeth."""
        turn = motion.scale[:, None, None] * motion.rotation[:, :2]
        offset = turn[..., 2] * rows["mouth_depth"] + motion.translation[:, :2]
        a, b, c, d = turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1]
        area = a * d - b * c
        flat = area.abs() < 0.05 * motion.scale.square()
        unit, none = motion.scale, torch.zeros_like(motion.scale)
        a, b, c, d = (torch.where(flat, plain, own) for plain, own in ((unit, a), (none, b), (none, c), (unit, d)))
        area = torch.where(flat, unit.square(), area)
        inverse = torch.stack([d, -b, -c, a], 1).unflatten(1, (2, 2)) / area[:, None, None]
        return torch.cat([inverse, -inverse @ offset[..., None]], 2)

    def _edges(self, lips_BN2: Tensor, to_portrait: Tensor, to_mouth: Tensor) -> Tensor:
        """(B, 2, COLUMNS): how far below the upper lip's edge each lip is, from corner to corner."""
        there = lips_BN2 @ to_portrait[..., :2].transpose(1, 2) + to_portrait[:, None, :, 2]
        there = there @ to_mouth[..., :2].transpose(1, 2) + to_mouth[:, None, :, 2]
        lower = torch.cat([there[:, 10:], there[:, :1]], 1).flip(1)
        columns = self._columns.expand(len(there), -1)
        sides = (there[:, :11], lower)
        return torch.stack([interpolate(columns, side[..., 0].cummax(1).values, side[..., 1]) for side in sides], 1)

    def _inside(self, place_BSS2: Tensor, edges: Tensor, rows: Rows) -> Tensor:
        """(B, S, S, 3): teeth, tongue and cavity."""
        across, below = place_BSS2.unbind(-1)
        at = ((across + 1.2) / 2.4).clamp(0, 1) * (COLUMNS - 1)
        left = at.long().clamp(max=COLUMNS - 2)
        part = at - left

        def edge(line: Tensor) -> Tensor:
            first, second = (line.gather(1, (left + k).flatten(1)).view_as(at) for k in (0, 1))
            return first + part * (second - first)

        top, bottom = edge(edges[:, 0]), edge(edges[:, 1])
        tooth_edge, lower_teeth, unit = (rows["mouth_shape"][:, i, None, None] for i in range(3))
        side = across.square()
        # Arches: the teeth end higher, and lie deeper in the shade, towards the corners.
        arch = tooth_edge - 0.35 * tooth_edge * side
        upper = 1 - smoothstep((below - arch) / 0.018 + 0.5)
        upper = upper * (1 - smoothstep((across.abs() - 0.72) / 0.2))
        bright = (1 - 0.45 * side) * (0.62 + 0.38 * smoothstep((below - top) / 0.05))
        tooth = (across / unit / 0.088).abs()
        bright = bright * (1 - 0.12 * (1 - smoothstep((tooth - (tooth + 0.5).floor()).abs() / 0.1)))
        height = (bottom - top).clamp(min=1e-3)
        open_wide = smoothstep((height - 0.12) / 0.12)
        rise = (bottom - below) / lower_teeth
        lower = (1 - smoothstep((rise - 0.75) / 0.5)) * open_wide * (1 - upper)
        lower = lower * (1 - smoothstep((across.abs() - 0.45) / 0.25))
        tongue = smoothstep((below - top) / height * 1.6 - 0.7) * open_wide * (1 - 0.6 * side)
        teeth, cavity, flesh = (rows["mouth_colours"][:, i, None, None] for i in range(3))
        colour = cavity + 0.8 * tongue[..., None] * (flesh - cavity)
        colour = colour + 0.75 * lower[..., None] * (teeth * 0.78 - colour)
        return colour + upper[..., None] * (teeth * bright[..., None] - colour)

    def _own(self, photo_xy: Tensor, photos: Tensor, start_B: Tensor) -> tuple[Tensor, Tensor]:
        """The portrait's own inside (B, S, S, 3), and how much of it there is (B, S, S, 1) in [0, 1]."""
        height, width = self._size
        x, y = photo_xy.unbind(-1)
        valid = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
        x, y = x.clamp(0, width - 1.001), y.clamp(0, height - 1.001)
        left, up = x.long(), y.long()
        at = start_B[:, None, None] + up * width + left
        first, second, third, fourth = (unpacked(photos[at + k]) for k in (0, 1, width, width + 1))
        fu, fv = (x - left)[..., None], (y - up)[..., None]
        above, beneath = first + fu * (second - first), third + fu * (fourth - third)
        mixed = above + fv * (beneath - above)
        return mixed[..., :3], torch.where(valid, first[..., 3] / 255, 0.0)[..., None]
