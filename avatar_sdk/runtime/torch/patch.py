"""A square window of fixed size around a part of the face, for painting.

B sessions, S its side, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Patch:
    """Where each session's window lies. What a part reaches beyond it is not painted.

    Attributes:
        corner: (B, 2) int64, x and y of its first pixel.
        index: (B, S, S) int64, its pixels in the flat image.
        side: S, an even number.
    """

    corner: Tensor
    index: Tensor
    side: int

    @classmethod
    def around(cls, outline_BN2: Tensor, height: int, width: int, side: int) -> Self:
        """The window whose middle is the outline's, moved into the picture."""
        middle = (outline_BN2.amin(1) + outline_BN2.amax(1)) / 2
        x = (middle[:, 0].round() - side // 2).clamp(0, width - side).long()
        y = (middle[:, 1].round() - side // 2).clamp(0, height - side).long()
        line = torch.arange(side, device=outline_BN2.device)
        index = (y[:, None, None] + line[:, None]) * width + x[:, None, None] + line
        return cls(torch.stack([x, y], 1), index, side)

    def pixels(self) -> Tensor:
        """(B, S, S, 2): x and y of every pixel, in the picture."""
        line = torch.arange(self.side, device=self.corner.device)
        x = (self.corner[:, 0, None, None] + line).expand(-1, self.side, -1)
        y = (self.corner[:, 1, None, None] + line[:, None]).expand(-1, -1, self.side)
        return torch.stack([x, y], -1).float()

    def read(self, image_BCHW: Tensor) -> Tensor:
        """(B, S, S, C)."""
        flat = self.index.flatten(1)[:, None].expand(-1, image_BCHW.shape[1], -1)
        return image_BCHW.flatten(2).gather(2, flat).unflatten(2, (self.side, self.side)).permute(0, 2, 3, 1)

    def write(self, image_BCHW: Tensor, patch_BSSC: Tensor) -> Tensor:
        """The image with the window replaced."""
        flat = self.index.flatten(1)[:, None].expand(-1, image_BCHW.shape[1], -1)
        written = image_BCHW.flatten(2).scatter(2, flat, patch_BSSC.permute(0, 3, 1, 2).flatten(2))
        return written.view_as(image_BCHW)


def packed(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(H, W, 4) uint8 → (H·W,) int32, first channel lowest, so that a pixel is read at once."""
    return np.ascontiguousarray(pixels).view("<i4").reshape(-1)


def unpacked(lanes: Tensor) -> Tensor:
    """(...) int32 → (..., 4) float32 in [0, 255]."""
    shift = torch.arange(0, 32, 8, device=lanes.device, dtype=torch.int32)
    return ((lanes[..., None] >> shift) & 255).float()


def sixteenths(points: Tensor) -> Tensor:
    """Points as OpenCV takes them, with four binary places."""
    return (points * 16).round() / 16


def even(pixels: float) -> int:
    """The nearest even number, at least 16."""
    return max(16, 2 * round(pixels / 2))
