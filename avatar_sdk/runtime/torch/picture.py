"""The photo taken along: `paint_over` and `soften_outlines` of `avatar_sdk.warp.raster`, batched.

B sessions, P = H·W pixels of the output. Photos stay packed, four bytes to a number, so that a pixel is read at once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def packed(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(H, W, 4) uint8 → (H·W,) int32, first channel lowest."""
    return np.ascontiguousarray(pixels).view("<i4").reshape(-1)


def unpacked(lanes: Tensor, channels: int) -> Tensor:
    """(...) int32 → (..., channels) float32 in [0, 255]."""
    shift = torch.arange(0, 8 * channels, 8, device=lanes.device)
    return ((lanes[..., None] >> shift) & 255).float()


def paint_over(
    background_BP3: Tensor, lanes: Tensor, start_B: Tensor, size: tuple[int, int], map_BP2: Tensor, seen_BP: Tensor
) -> Tensor:
    """Samples the person bilinearly in 1/256 pixel, and lays it over the background.

    Args:
        background_BP3: float32 in [0, 255].
        lanes: int32, the packed persons of all slots, one after another, colours multiplied by alpha.
        start_B: where each session's person starts in `lanes`.
        size: height and width of a person.
        map_BP2: where each pixel comes from, x and y.
        seen_BP: whether it comes from anywhere.

    Returns:
        (B, P, 3) float32, whole numbers in [0, 255].
    """
    rows, columns = size
    u = (map_BP2[..., 0].clamp(0, columns - 1 - 1e-3) * 256 + 0.5).long()
    v = (map_BP2[..., 1].clamp(0, rows - 1 - 1e-3) * 256 + 0.5).long()
    fx, fy = u & 255, v & 255
    at = (v >> 8) * columns + (u >> 8) + start_B[:, None]
    both = (fx * fy + 128) >> 8
    total: Tensor | float = 0.0
    for offset, weight in ((0, 256 - fx - fy + both), (1, fx - both), (columns, fy - both), (columns + 1, both)):
        total = total + unpacked(lanes[at + offset], 4) * weight[..., None].float()
    assert isinstance(total, Tensor)
    colour, behind = total[..., :3], 255 * 256 - total[..., 3:]
    mixed = colour + torch.floor(background_BP3 * behind / 255)
    shown = torch.floor((mixed + 128) / 256).clamp(max=255)
    return torch.where(seen_BP[..., None], shown, background_BP3)


def soften_outlines(
    image_BP3: Tensor, map_BP2: Tensor, seen_BP: Tensor, size: tuple[int, int], jump_B: Tensor
) -> Tensor:
    """Smooths the stairs along the outline of a part that hides another; all pixels at once."""
    image = image_BP3.unflatten(1, size)
    source = map_BP2.unflatten(1, size)
    seen = seen_BP.unflatten(1, size)
    middle = source[:, 1:-1, 1:-1]
    across = (source[:, 1:-1, 2:] - middle).abs().sum(-1)
    down = (source[:, 2:, 1:-1] - middle).abs().sum(-1)
    edge = torch.maximum(across, down) >= jump_B[:, None, None]
    edge &= seen[:, 1:-1, 1:-1] & seen[:, 1:-1, 2:] & seen[:, 2:, 1:-1]
    centre = image[:, 1:-1, 1:-1]
    around = image[:, 1:-1, :-2] + image[:, 1:-1, 2:] + image[:, :-2, 1:-1] + image[:, 2:, 1:-1]
    softer = torch.floor((centre * 4 + around + 4) / 8)
    inner = torch.where(edge[..., None], softer, centre)
    result = image.clone()
    result[:, 1:-1, 1:-1] = inner
    return result.flatten(1, 2)
