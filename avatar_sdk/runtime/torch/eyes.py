"""Painted whites and irises of many eyes: `avatar_sdk.warp.eyes`, batched.

B sessions, S side of the painted window.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from avatar_sdk.runtime.torch.drawing import blurred, filled, taps
from avatar_sdk.runtime.torch.geometry import MotionRows, Rows, interpolate, smoothstep
from avatar_sdk.runtime.torch.patch import Patch, even, sixteenths
from avatar_sdk.warp.eyes import EyeConfig
from avatar_sdk.warp.mesh import EYES

WINDOW: Final = 0.25
"""Side of the painted window. Unit: the output's shorter side."""
WIDEST_BLUR: Final = 1 / 32
"""Radius of the drawing's blur. Unit: the output's shorter side."""
COLUMNS: Final = 32
"""Samples of the lids' edges from corner to corner."""


class EyePainter:
    """Paints the eyes of one output size."""

    def __init__(self, height: int, width: int, device: str, config: EyeConfig | None = None) -> None:
        self._config = config or EyeConfig()
        self._size = height, width
        shorter = min(height, width)
        self._side = min(even(WINDOW * shorter), shorter)
        self._soft = max(1, min(round(WIDEST_BLUR * shorter), self._side - 1))
        self._mask_soft = max(2, self._soft // 2)
        self._eyes = [(torch.tensor(lids, device=device), torch.tensor(iris, device=device)) for lids, iris in EYES]
        self._columns = torch.linspace(-1, 1, COLUMNS, device=device)

    def paint(self, image_B3HW: Tensor, motion: MotionRows, rows: Rows) -> Tensor:
        """The image (B, 3, H, W), whole numbers in [0, 255], with eyes painted that opened wider than the photo's."""
        for eye in range(len(self._eyes)):
            image_B3HW = self._paint(image_B3HW, motion.landmarks, rows, eye)
        return image_B3HW

    def _paint(self, image_B3HW: Tensor, points: Tensor, rows: Rows, eye: int) -> Tensor:
        lids_at, iris_at = self._eyes[eye]
        amount = self._amount(points, rows, eye)
        lids = points[:, lids_at, :2]
        patch = Patch.around(lids, *self._size, self._side)
        across = lids[:, 8] - lids[:, 0]
        half = (across.norm(dim=1) / 2).clamp(min=1.0)
        mask = filled(sixteenths(lids - patch.corner[:, None].float()), self._side, self._side)
        mask = blurred(mask[:, None], taps((0.035 * half).clamp(min=0.5), self._mask_soft))[:, 0].round()
        across = across / (2 * half)[:, None]
        down = torch.stack([-across[:, 1], across[:, 0]], 1)
        falls = ((lids[:, 9:].mean(1) - lids[:, 1:8].mean(1)) * down).sum(1, keepdim=True)
        down = torch.where(falls < 0, -down, down)
        frame_B22 = torch.stack([across, down], 1) / half[:, None, None]
        middle = (lids[:, 0] + lids[:, 8]) / 2

        def into_eye(places: Tensor) -> Tensor:
            """(B, N, 2) pixels to the eye's own coordinates: x in [-1, 1] from corner to corner, y down."""
            return (places - middle[:, None]) @ frame_B22.transpose(1, 2)

        contour = into_eye(lids)
        columns = self._columns.expand(len(points), -1)
        upper = interpolate(columns, contour[:, :9, 0].cummax(1).values, contour[:, :9, 1])
        iris = into_eye(points[:, iris_at[:1], :2])[:, 0]
        rim = points[:, iris_at[1:], :2] - points[:, iris_at[:1], :2]
        radius = (rim.norm(dim=-1).mean(1) / half).clamp(min=0.05)
        before = patch.read(image_B3HW)
        weight = mask[..., None] / 255
        weight = torch.where(weight < 0.004, 0.0, weight)
        place = into_eye(patch.pixels().flatten(1, 2)).unflatten(1, (self._side, self._side))
        drawn = self._drawn(place, upper, iris, radius, rows["eye_colours"][:, eye])
        painted = torch.floor((before + weight * (drawn - before) + 0.5).clamp(0, 255))
        sigma = (2 * half * self._config.softness).clamp(min=0.3)
        painted = blurred(painted.permute(0, 3, 1, 2), taps(sigma, self._soft)).permute(0, 2, 3, 1).round()
        shown = (mask * amount[:, None, None] / 255)[..., None]
        after = torch.floor(before + shown * (painted - before) + 0.5)
        return patch.write(image_B3HW, torch.where(shown > 0, after, before))

    def _amount(self, points: Tensor, rows: Rows, eye: int) -> Tensor:
        """(B,) in [0, 1]: how much of the painted eye shows."""
        lids_at, iris_at = self._eyes[eye]
        lids = points[:, lids_at]
        gap = (lids[:, 3:6] - lids[:, 11:14].flip(1)).norm(dim=-1).mean(1)
        opening = gap / (lids[:, 0] - lids[:, 8]).norm(dim=1).clamp(min=1e-6)
        low, high = self._config.opens
        wider = (opening - rows["eye_opening"][:, eye] - low) / (high - low)
        across = lids[:, 8, :2] - lids[:, 0, :2]
        offset = points[:, iris_at[0], :2] - (lids[:, 0, :2] + lids[:, 8, :2]) / 2
        turned = torch.stack(
            [(offset * across).sum(1), offset[:, 1] * across[:, 0] - offset[:, 0] * across[:, 1]], 1
        ) / across.square().sum(1, keepdim=True).clamp(min=1.0)
        low, high = self._config.looks
        looks = (turned - rows["eye_gaze"][:, eye]).norm(dim=1)
        return torch.maximum(wider, (looks - low) / (high - low)).clamp(0, 1)

    def _drawn(self, place_BSS2: Tensor, upper: Tensor, iris: Tensor, radius: Tensor, colours: Tensor) -> Tensor:
        """(B, S, S, 3): white, iris, pupil, glint and the upper lid's shadow."""
        across, below = place_BSS2.unbind(-1)
        at = ((across + 1) / 2).clamp(0, 1) * (COLUMNS - 1)
        left = at.long().clamp(max=COLUMNS - 2)
        first, second = (upper.gather(1, (left + k).flatten(1)).view_as(at) for k in (0, 1))
        top = first + (at - left) * (second - first)
        shade = (0.5 + 0.5 * smoothstep((below - top) / 0.28)) * (1 - 0.3 * across.square())
        size = radius[:, None, None]
        dx, dy = across - iris[:, 0, None, None], below - iris[:, 1, None, None]
        apart = torch.sqrt(dx * dx + dy * dy) / size
        in_iris = 1 - smoothstep((apart - 0.8) / 0.4)
        in_pupil = 1 - smoothstep((apart - 0.27) / 0.26)
        rim = 0.7 + 0.3 * (1 - smoothstep((apart - 0.6) / 0.4))
        gx, gy = dx / size + 0.22, dy / size + 0.3
        glint = 1 - smoothstep((torch.sqrt(gx * gx + gy * gy) - 0.08) / 0.14)
        white, tint = colours[:, 0, None, None], colours[:, 1, None, None]
        colour = white + in_iris[..., None] * (tint * (rim * (1 - 0.75 * in_pupil))[..., None] - white)
        colour = colour * shade[..., None]
        return colour + 0.45 * glint[..., None] * (235 - colour)
