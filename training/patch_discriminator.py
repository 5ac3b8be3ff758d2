"""Tells a camera's picture from a decoded one, patch by patch.

B rows, C channels, H rows, W columns.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (32, 64, 96)


class PatchDiscriminator(nn.Module):
    """Strided convolutions over a picture and the guide it was made from; one logit per 8×8 pixels."""

    def __init__(self, guide_channels: int) -> None:
        super().__init__()
        widths = (3 + guide_channels, *CHANNELS)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.logit = nn.Conv2d(CHANNELS[-1], 1, 3, padding=1)

    def forward(self, picture_BCHW: Tensor, guide_BCHW: Tensor) -> Tensor:
        """Pictures and guides in [-1, 1] → logits (B, 1, H / 8, W / 8)."""
        x = torch.cat([picture_BCHW, guide_BCHW], 1)
        for conv in self.down:
            x = F.leaky_relu(conv(x), 0.2)
        return torch.as_tensor(self.logit(x))
