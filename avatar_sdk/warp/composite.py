"""Adds what a network makes of the crop to the warped frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avatar_sdk.warp.frame import CROP_PX, WarpedFrame

RESIDUAL_SHAPE = (CROP_PX, CROP_PX, 4)


def composite(frame: WarpedFrame, residual: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`warp + gate * sigmoid(mask) * delta` at output resolution; a delta of zero changes nothing.

    Args:
        frame: a warped frame; not changed.
        residual: (256, 256, 4) float32 in the crop: RGB delta in [-1, 1] and the logit of its mask.

    Returns:
        A new (H, W, 3) uint8 RGB image.
    """
    assert residual.shape == RESIDUAL_SHAPE
    image = frame.image.copy()
    height, width = image.shape[:2]
    forward = frame.crop_affine.astype(np.float64)
    corners = np.array([[-0.5, -0.5], [-0.5, CROP_PX - 0.5], [CROP_PX - 0.5, -0.5], [CROP_PX - 0.5, CROP_PX - 0.5]])
    seen = (corners - forward[:, 2]) @ np.linalg.inv(forward[:, :2]).T
    left, top = np.maximum(np.ceil(seen.min(0)), 0).astype(int)
    right, bottom = np.minimum(np.floor(seen.max(0)), (width - 1, height - 1)).astype(int)
    if left <= right and top <= bottom:
        window = (int(left), int(top), int(right) + 1, int(bottom) + 1)
        _add(image, _gated(residual, frame.gate), frame.crop_affine, window)
    return image


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _gated(residual: Any, gate: Any) -> Any:
    """gate * sigmoid(mask) * delta, (256, 256, 3) float32 in [-255, 255]."""
    side = gate.shape[0]
    out = np.empty((side, side, 3), np.float32)
    for y in range(side):
        for x in range(side):
            weight = np.float32(gate[y, x]) / (np.float32(1) + np.exp(-residual[y, x, 3]))
            for k in range(3):
                out[y, x, k] = weight * residual[y, x, k]
    return out


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _add(image: Any, change: Any, affine: Any, window: Any) -> None:
    """Adds `change`, seen through the crop, to `image` inside `window` (left, top, right, bottom)."""
    last = np.float32(change.shape[0] - 1)
    left, top, right, bottom = window
    for y in range(top, bottom):
        for x in range(left, right):
            u = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]
            v = affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]
            if u < 0 or v < 0 or u > last or v > last:
                continue
            i, j = min(int(u), change.shape[0] - 2), min(int(v), change.shape[0] - 2)
            fx, fy = np.float32(u - i), np.float32(v - j)
            for k in range(3):
                upper = change[j, i, k] + fx * (change[j, i + 1, k] - change[j, i, k])
                lower = change[j + 1, i, k] + fx * (change[j + 1, i + 1, k] - change[j + 1, i, k])
                value = np.float32(image[y, x, k]) + upper + fy * (lower - upper)
                image[y, x, k] = np.uint8(min(max(value + np.float32(0.5), np.float32(0)), np.float32(255)))
