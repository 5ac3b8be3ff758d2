"""What was made in the face-aligned crops, laid over whole pictures.

B rows, S side of the crop.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_sdk.warp.frame import CROP_PX


class Overlay:
    """Lays crops over pictures of one size."""

    def __init__(self, height: int, width: int, device: str) -> None:
        line_x = torch.arange(width, device=device, dtype=torch.float32)
        line_y = torch.arange(height, device=device, dtype=torch.float32)
        self._xy = torch.stack([line_x.expand(height, -1), line_y[:, None].expand(-1, width)], -1)

    def lay(self, planes_BCSS: Tensor, affine_B23: Tensor) -> Tensor:
        """(B, C, H, W): the planes in between their pixels, zero beyond the crop.

        Args:
            planes_BCSS: in the crop, float32.
            affine_B23: output pixels → crop pixels.
        """
        xy = self._xy @ affine_B23[:, None, :, :2].transpose(2, 3) + affine_B23[:, None, None, :, 2]
        return F.grid_sample(planes_BCSS, 2 * xy / (CROP_PX - 1) - 1, padding_mode="zeros", align_corners=True)
