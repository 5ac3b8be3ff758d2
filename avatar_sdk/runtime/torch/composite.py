"""Adds what the network makes of the crops to the warped pictures: `avatar_sdk.warp.composite`, batched.

B sessions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from avatar_sdk.runtime.torch.overlay import Overlay
from avatar_sdk.warp.composite import FRACTION_BITS


class Compositor:
    """Composites pictures of one size."""

    def __init__(self, height: int, width: int, device: str) -> None:
        self._overlay = Overlay(height, width, device)

    def add(self, image_B3HW: Tensor, residual_B4HW: Tensor, gate_BHW: Tensor, affine_B23: Tensor) -> Tensor:
        """`warp + gate * sigmoid(mask) * delta` at output resolution.

        Args:
            image_B3HW: the warped pictures, whole numbers in [0, 255].
            residual_B4HW: RGB delta in [-1, 1] and mask logit in the crop. Not a number counts as nothing.
            gate_BHW: in [0, 255].
            affine_B23: output pixels → crop pixels.

        Returns:
            (B, H, W, 3) uint8 RGB.
        """
        one = 1 << FRACTION_BITS
        residual = torch.nan_to_num(residual_B4HW.float(), 0.0, 0.0, 0.0)
        delta, logit = residual[:, :3].clamp(-1, 1), residual[:, 3:]
        change = (one * gate_BHW[:, None] * torch.sigmoid(logit) * delta).round()
        placed = self._overlay.lay(change, affine_B23)
        whole = torch.floor(image_B3HW + (placed.round() + one // 2) / one)
        return whole.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
