"""Adds what a network makes of the crop to the warped frame."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from avatar_sdk.warp.frame import CROP_PX, WarpedFrame

RESIDUAL_SHAPE: Final = (CROP_PX, CROP_PX, 4)
FRACTION_BITS: Final = 6
"""A change of one grey level is 2 ** FRACTION_BITS in 16-bit arithmetic."""


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
    change, top, bottom, left, right = _gated(residual, frame.gate)
    if top > bottom:
        return image
    height, width = image.shape[:2]
    forward = frame.crop_affine.astype(np.float64)
    corners = np.array([(x, y) for x in (left - 1, right + 1) for y in (top - 1, bottom + 1)])
    seen = (corners - forward[:, 2]) @ np.linalg.inv(forward[:, :2]).T
    x0, y0 = np.maximum(np.floor(seen.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(seen.max(0)).astype(int) + 1, (width, height))
    if x0 < x1 and y0 < y1:
        forward[:, 2] += forward[:, :2] @ (x0, y0)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        _add(image[y0:y1, x0:x1], cv2.warpAffine(change, forward, (int(x1 - x0), int(y1 - y0)), flags=flags))
    return image


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _gated(residual: Any, gate: Any) -> Any:
    """Computes `gate * sigmoid(mask) * delta` as (256, 256, 3) int16, and the rows and columns that may change."""
    side = gate.shape[0]
    change = np.zeros((side, side, 3), np.int16)
    top, bottom, left, right = side, -1, side, -1
    scale = np.float32(1 << FRACTION_BITS)
    for y in range(side):
        for x in range(side):
            if gate[y, x] == 0:
                continue
            top, bottom = min(top, y), y
            left, right = min(left, x), max(right, x)
            weight = scale * np.float32(gate[y, x]) / (np.float32(1) + np.exp(-residual[y, x, 3]))
            for k in range(3):
                value = weight * min(max(residual[y, x, k], np.float32(-1)), np.float32(1))
                change[y, x, k] = np.int16(np.rint(value))
    return change, top, bottom, left, right


@njit(nogil=True, cache=True, error_model="numpy")
def _add(image: Any, change: Any) -> None:
    """Adds `change` (h, w, 3) int16 to `image` (h, w, 3) uint8."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for k in range(3):
                value = (np.int32(image[y, x, k]) << FRACTION_BITS) + change[y, x, k] + (1 << (FRACTION_BITS - 1))
                image[y, x, k] = min(max(value >> FRACTION_BITS, 0), 255)
