"""A square window of fixed size around a part of the face, for painting.

B sessions, S its side, P = H·W pixels of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
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

    def read(self, image_BPC: Tensor) -> Tensor:
        """(B, S, S, C)."""
        flat = self.index.flatten(1)[..., None].expand(-1, -1, image_BPC.shape[-1])
        return image_BPC.gather(1, flat).unflatten(1, (self.side, self.side))

    def write(self, image_BPC: Tensor, patch_BSSC: Tensor) -> Tensor:
        """The image with the window replaced."""
        flat = self.index.flatten(1)[..., None].expand(-1, -1, image_BPC.shape[-1])
        return image_BPC.scatter(1, flat, patch_BSSC.flatten(1, 2))


def sixteenths(points: Tensor) -> Tensor:
    """Points as OpenCV takes them, with four binary places."""
    return (points * 16).round() / 16


def even(pixels: float) -> int:
    """The nearest even number, at least 16."""
    return max(16, 2 * round(pixels / 2))
