"""Filled outlines and thin lines as OpenCV draws them, for many sessions at once.

OpenCV's anti-aliased line is a row of pixels along the axis it is longer in, three wide across it, laid on twice; its
filter is about a Gaussian of the distance across, times the line's slope. A filled outline is its inside and that line
around it.

B sessions, N points of an outline, E edges, L layers.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

SHARPNESS: Final = 1.78
"""exp(−SHARPNESS · d²) is the share of a pixel at d pixels across from the line."""
ACROSS: Final = 4
"""Pixels a line may touch across its direction."""
_FIXED: Final = 1 << 16


def edges_of(outline_BN2: Tensor, closed: bool = True) -> Tensor:
    """(B, E, 4): x0, y0, x1, y1 of the edges between the points."""
    following = outline_BN2.roll(-1, 1)
    edges = torch.cat([outline_BN2, following], -1)
    return edges if closed else edges[:, :-1]


def inside(edges_BE4: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W) bool: whose centre lies within the outline, by the crossings to the left of it."""
    x0, y0, x1, y1 = edges_BE4.unsqueeze(2).unbind(-1)
    row = torch.arange(height, device=edges_BE4.device, dtype=torch.float32)
    crossed = (torch.minimum(y0, y1) <= row) & (row < torch.maximum(y0, y1))
    rise = torch.where(y1 == y0, 1.0, y1 - y0)
    at = (x0 + (row - y0) * (x1 - x0) / rise).ceil().clamp(0, width).long()
    direction = torch.where(y1 > y0, 1, -1) * crossed
    counts = torch.zeros(len(edges_BE4), height * (width + 1), dtype=torch.int64, device=edges_BE4.device)
    counts.scatter_add_(1, (row.long() * (width + 1) + at).flatten(1), direction.flatten(1))
    return counts.unflatten(1, (height, width + 1)).cumsum(2)[..., :width] != 0


def lines(edges_BE4: Tensor, layer_E: Tensor, layers: int, height: int, width: int, longest: int) -> Tensor:
    """(B, L, H, W) in [0, 1]: thin lines, each in its own layer.

    Args:
        edges_BE4: x0, y0, x1, y1.
        layer_E: int64, the layer of each edge.
        layers: how many there are.
        height: of the picture.
        width: of the picture.
        longest: pixels along an edge that are drawn; the rest of a longer one is left out.
    """
    start, stop = edges_BE4[..., :2], edges_BE4[..., 2:]
    run = (stop - start).abs()
    flat = (run[..., :1] > run[..., 1:]).expand(-1, -1, 2)
    start, stop = torch.where(flat, start, start.flip(-1)), torch.where(flat, stop, stop.flip(-1))
    turned = (stop[..., :1] < start[..., :1]).expand(-1, -1, 2)
    start, stop = torch.where(turned, stop, start), torch.where(turned, start, stop)
    length = stop[..., 0] - start[..., 0]
    slope = (stop[..., 1] - start[..., 1]) / torch.where(length == 0, 1.0, length)
    step = start[..., 0].floor()[..., None] + torch.arange(longest, device=edges_BE4.device)
    ends = ((step - start[..., :1] + 1) / 2).clamp(0, 1) * ((stop[..., :1] + 1 - step) / 2).clamp(0, 1)
    centre = start[..., 1:] + slope[..., None] * (step - start[..., :1])
    near = centre.floor()[..., None] + torch.arange(1 - ACROSS // 2, 1 + ACROSS // 2, device=edges_BE4.device)
    off = near - centre[..., None]
    share = _share(off, ((1 + slope.square()) / 2).sqrt()[..., None, None] * ends[..., None])
    step = step[..., None].expand_as(near)
    lies = flat[..., 0, None, None]
    x, y = torch.where(lies, step, near), torch.where(lies, near, step)
    share = torch.where((x >= 0) & (x < width) & (y >= 0) & (y < height), share, 0.0)
    pixel = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    pixel = pixel + layer_E[:, None, None] * (height * width)
    # What shines through several lines is a product, so its logarithm a sum; in whole numbers the order cannot matter.
    dark = (-(1 - share.clamp(max=0.999)).log() * _FIXED).round().long()
    sums = torch.zeros(len(edges_BE4), layers * height * width, dtype=torch.int64, device=edges_BE4.device)
    sums.scatter_add_(1, pixel.flatten(1), dark.flatten(1))
    return (1 - torch.exp(sums.float() / -_FIXED)).unflatten(1, (layers, height, width))


def filled(outline_BN2: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W) in [0, 255]: one filled outline per session."""
    edges = edges_of(outline_BN2)
    layer = torch.zeros(edges.shape[1], dtype=torch.int64, device=edges.device)
    border = lines(edges, layer, 1, height, width, max(height, width))[:, 0]
    return over(inside(edges, height, width), border)


def over(within: Tensor, border: Tensor) -> Tensor:
    """An inside and the line around it, as whole numbers in [0, 255]."""
    return (255 * torch.where(within, 1.0, border)).round()


def disc(centre_B2: Tensor, radius_B: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W) in [0, 255]: a filled circle per session."""
    x = torch.arange(width, device=centre_B2.device) - centre_B2[:, 0, None, None]
    y = torch.arange(height, device=centre_B2.device)[:, None] - centre_B2[:, 1, None, None]
    apart = torch.sqrt(x * x + y * y)
    steep = torch.maximum(x.abs(), y.abs().expand_as(apart)) / apart.clamp(min=1e-6)
    steep = torch.where(apart < 1e-6, 1.0, steep)
    off = (apart - radius_B[:, None, None]) / steep
    return over(off <= 0, _share(off, 1 / (steep * math.sqrt(2))))


def _share(off: Tensor, weight: Tensor) -> Tensor:
    """How much of a pixel a line covers that passes `off` pixels from its centre, across the line's longer axis."""
    once = torch.exp(-SHARPNESS * off.square()) * (off.abs() < 1.5) * weight
    return 1 - (1 - once.clamp(0, 1)).square()


def taps(sigma_B: Tensor, radius: int) -> Tensor:
    """(B, 2·radius + 1) Gaussian weights that add up to 1."""
    offset = torch.arange(-radius, radius + 1, device=sigma_B.device)
    weight = torch.exp(-0.5 * (offset / sigma_B[:, None]).square())
    return weight / weight.sum(1, keepdim=True)


def blurred(image_BCHW: Tensor, taps_BK: Tensor) -> Tensor:
    """Each session's image blurred by its own weights; borders are mirrored."""
    batch, channels, height, width = image_BCHW.shape
    radius = taps_BK.shape[1] // 2
    weight = taps_BK.repeat_interleave(channels, 0, output_size=batch * channels)[:, None]
    padded = F.pad(image_BCHW, (radius,) * 4, mode="reflect").reshape(1, batch * channels, height + 2 * radius, -1)
    once = F.conv2d(padded, weight[:, :, None], groups=batch * channels)
    twice = F.conv2d(once, weight[..., None], groups=batch * channels)
    return twice.reshape(batch, channels, height, width)
