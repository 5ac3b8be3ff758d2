"""Losses on pictures, shared by every stage that decodes.

B clips, F frames, C channels, H rows, W columns. Pictures are in [-1, 1], weights and gates in [0, 1].
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_sdk.warp.frame import POSE_MAPS

REGION_WEIGHT: Final = 6.0
"""How much more a pixel of lips, mouth or eyes counts."""
RIGHT: Final = 0.06
"""Where the warp is off by less than this the network should leave it alone; in [-1, 1] units."""

USUAL: Final = 0.12
"""Weighted error of the warp in a usual window; in [-1, 1] units."""
LEAST: Final = 0.02
"""Below this an error is noise; in [-1, 1] units."""


def composite(guide_BFCHW: Tensor, gate_BF1HW: Tensor, residual_BF4HW: Tensor) -> Tensor:
    """The crop as the product shows it: `warp + gate · σ(mask) · delta`, (B, F, 3, H, W).

    A delta of 1 is the full range of a colour, hence 2 in [-1, 1].
    """
    delta, mask = residual_BF4HW[:, :, :3], residual_BF4HW[:, :, 3:]
    picture = guide_BFCHW[:, :, :3] + 2 * gate_BF1HW * torch.sigmoid(mask) * delta.clamp(-1, 1)
    return picture.clamp(-1, 1)


def region_weights(guide_BFCHW: Tensor) -> Tensor:
    """(B, F, 1, H, W): 1 everywhere, `REGION_WEIGHT` inside and closely around lips, mouth and eyes."""
    wanted = [3 + POSE_MAPS.index(name) for name in ("inner_mouth", "lips", "eyes")]
    inside = (guide_BFCHW[:, :, wanted].amax(2, keepdim=True) + 1) / 2
    near = F.max_pool2d(inside.flatten(0, 1), 9, stride=1, padding=4).unflatten(0, inside.shape[:2])
    return 1 + (REGION_WEIGHT - 1) * near


def evened(weight: Tensor, guide_BFCHW: Tensor, truth: Tensor) -> Tensor:
    """The weights, larger for clips in which the warp is nearly right: decibels are asked of every clip alike."""
    apart = ((guide_BFCHW[:, :, :3] - truth).abs() * weight).mean((1, 2, 3, 4), keepdim=True)
    return weight * (USUAL + LEAST) / (apart + LEAST)


def weighted_l1(picture: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference, weighted."""
    return ((picture - truth).abs() * weight).mean()


def gradient_loss(picture: Tensor, truth: Tensor, weight: Tensor, scales: int = 3) -> Tensor:
    """Weighted mean absolute difference of the gradients at several scales: edges count, not only colours."""
    a, b, w = picture.flatten(0, 1), truth.flatten(0, 1), weight.flatten(0, 1)
    total = a.new_zeros(())
    for scale in range(scales):
        if scale:
            a, b, w = (F.avg_pool2d(x, 2) for x in (a, b, w))
        across = (a.diff(dim=-1) - b.diff(dim=-1)).abs() * w[..., 1:]
        down = (a.diff(dim=-2) - b.diff(dim=-2)).abs() * w[..., 1:, :]
        total = total + across.mean() + down.mean()
    return total / scales


def texture_loss(picture: Tensor, truth: Tensor, weight: Tensor, area_px: int = 8) -> Tensor:
    """Weighted mean absolute difference of how much detail a neighbourhood holds, wherever in it the detail lies.

    Where exact places cannot be known, as those of teeth, every loss that compares pixels prefers blur; this one does
    not.
    """
    a, b = (_detail(x.flatten(0, 1), area_px) for x in (picture, truth))
    return ((a - b).abs() * F.avg_pool2d(weight.flatten(0, 1), area_px, area_px // 2)).mean()


def _detail(picture_BCHW: Tensor, area_px: int) -> Tensor:
    """Mean |Laplacian| of the grey picture around each place, (B, 1, h, w)."""
    grey = F.pad(picture_BCHW.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    around = grey[..., 1:-1, 2:] + grey[..., 1:-1, :-2] + grey[..., 2:, 1:-1] + grey[..., :-2, 1:-1]
    return F.avg_pool2d((around - 4 * grey[..., 1:-1, 1:-1]).abs(), area_px, area_px // 2)


def motion_loss(picture: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference of the changes from frame to frame: trembling costs, standing still too."""
    return ((picture.diff(dim=1) - truth.diff(dim=1)).abs() * weight[:, 1:]).mean()


def stay_on_warp(picture: Tensor, guide_BFCHW: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute change of the warp, where the warp is right."""
    warp = guide_BFCHW[:, :, :3]
    right = torch.exp(-(((truth - warp).abs().mean(2, keepdim=True) / RIGHT) ** 2))
    return ((picture - warp).abs() * right).mean()


def harm(picture: Tensor, truth: Tensor, guide_BFCHW: Tensor, weight: Tensor) -> Tensor:
    """Mean, weighted, of how much further from the truth the picture is than the warp was; 0 where it is nearer."""
    apart, before = ((one - truth).abs().mean(2, keepdim=True) for one in (picture, guide_BFCHW[:, :, :3]))
    return ((apart - before).relu() * weight).mean()
