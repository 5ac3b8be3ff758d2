"""The photo taken along: `paint_over` and `soften_outlines` of `avatar_sdk.warp.raster`, batched.

B sessions, P = H·W pixels of the output.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NOWHERE = -10.0
"""Outside of every photo, in the coordinates of `grid_sample`."""


def paint_over(background_B3HW: Tensor, person_B4HW: Tensor, map_BP2: Tensor, seen_BP: Tensor) -> Tensor:
    """Samples the person bilinearly, and lays it over the background.

    Args:
        background_B3HW: float32 in [0, 255].
        person_B4HW: float32 RGBA in [0, 255], colours multiplied by alpha, of any size.
        map_BP2: where each pixel comes from, x and y in pixels of the person.
        seen_BP: whether it comes from anywhere.

    Returns:
        (B, 3, H, W) float32, whole numbers in [0, 255].
    """
    rows, columns = person_B4HW.shape[2:]
    x, y = map_BP2.unbind(-1)
    place = (
        torch.stack([x.clamp(0, columns - 1) * (2 / (columns - 1)), y.clamp(0, rows - 1) * (2 / (rows - 1))], -1) - 1
    )
    place = torch.where(seen_BP[..., None], place, NOWHERE).unflatten(1, background_B3HW.shape[2:])
    person = F.grid_sample(person_B4HW, place, padding_mode="zeros", align_corners=True)
    return torch.addcmul(person[:, :3], background_B3HW, 1 - person[:, 3:] / 255).round().clamp(0, 255)


def soften_outlines(image_B3HW: Tensor, map_BP2: Tensor, seen_BP: Tensor, jump_B: Tensor) -> Tensor:
    """Smooths the stairs along the outline of a part that hides another; all pixels at once."""
    source = map_BP2.unflatten(1, image_B3HW.shape[2:])
    seen = seen_BP.unflatten(1, image_B3HW.shape[2:])
    middle = source[:, 1:-1, 1:-1]
    across = (source[:, 1:-1, 2:] - middle).abs().sum(-1)
    down = (source[:, 2:, 1:-1] - middle).abs().sum(-1)
    edge = torch.maximum(across, down) >= jump_B[:, None, None]
    edge &= seen[:, 1:-1, 1:-1] & seen[:, 1:-1, 2:] & seen[:, 2:, 1:-1]
    image = image_B3HW
    centre = image[..., 1:-1, 1:-1]
    around = image[..., 1:-1, :-2] + image[..., 1:-1, 2:] + image[..., :-2, 1:-1] + image[..., 2:, 1:-1]
    softer = torch.floor((centre * 4 + around + 4) / 8)
    return torch.cat(
        [
            image[..., :1, :],
            torch.cat([image[..., 1:-1, :1], torch.where(edge[:, None], softer, centre), image[..., 1:-1, -1:]], 3),
            image[..., -1:, :],
        ],
        2,
    )
