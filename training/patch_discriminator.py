"""Tells a camera's picture from a decoded one, patch by patch, and the losses of that game.

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


def relativistic(own: Tensor, other: Tensor) -> Tensor:
    """softplus(−(own − other)): `own` should look more real than `other`.

    Source: R3GAN, arXiv 2501.05441, the pairing loss of Jolicoeur-Martineau (arXiv 1807.00734).
    """
    return F.softplus(other - own).mean()


def smoothness(discriminator: nn.Module, picture: Tensor, guide: Tensor, logits: Tensor, sigma: float = 0.1) -> Tensor:
    """‖D(x) − D(x + σε)‖²: gradient penalty R1 (real x) or R2 (fake x) by finite differences.

    Source: APT, arXiv 2501.08316, §3.4.
    """
    nudged = picture + sigma * torch.randn_like(picture)
    return (logits - discriminator(nudged, guide)).square().mean()
