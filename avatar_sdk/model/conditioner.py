"""Reads the warped crop and its pose maps into features, one vector per token.

B rows, C channels, H rows, W columns.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.presets import ModelConfig

CROP_CHANNELS: Final = 3
MAP_CHANNELS: Final = 8
GUIDE_CHANNELS: Final = CROP_CHANNELS + MAP_CHANNELS
_FIRST: Final = 4
"""The first layer sees 4×4 pixels at once."""


def guide_from_bytes(guide_BCHW: Tensor) -> Tensor:
    """(B, 11, H, W) in [-1, 1] from uint8 planes in [0, 255]: RGB of the warped crop, then the pose maps."""
    return guide_BCHW * (2 / 255) - 1


class Conditioner(nn.Module):
    """Strided convolutions from the crop to the token grid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = config.codec.condition_channels
        self.first = nn.Conv2d(GUIDE_CHANNELS, widths[0], _FIRST, stride=_FIRST)
        outs = (*widths[1:], config.generator.condition_channels)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(widths, outs, strict=True))
        assert config.codec.crop_px == config.generator.grid * _FIRST * 2 ** len(self.down), (
            "stages must end at the grid"
        )

    def forward(self, guide_BCHW: Tensor) -> Tensor:
        """(B, 11, 256, 256) in [-1, 1] → (B, condition_channels, grid, grid)."""
        x = self.first(guide_BCHW)
        for conv in self.down:
            x = conv(F.silu(x))
        return torch.as_tensor(x)
