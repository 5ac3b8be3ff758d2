"""The pose maps at the size of the picture, for networks that see all of it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.warp.frame import POSE_MAPS, WarpedFrame

OUTSIDE: Final = {"stretch": 128, "visibility": 255}
"""What a map says beyond the crop, where nothing moves by itself; the others say 0."""


def maps_on_picture(frame: WarpedFrame) -> NDArray[np.uint8]:
    """(MAPS, H, W) uint8: `frame.maps` laid over `frame.image`."""
    return np.stack(
        [_laid_over(frame, plane, OUTSIDE.get(name, 0)) for name, plane in zip(POSE_MAPS, frame.maps, strict=True)]
    )


def gate_on_picture(frame: WarpedFrame) -> NDArray[np.uint8]:
    """(H, W) uint8: `frame.gate` laid over `frame.image`."""
    return _laid_over(frame, frame.gate, 0)


def _laid_over(frame: WarpedFrame, plane: NDArray[np.uint8], beyond: int) -> NDArray[np.uint8]:
    height, width = frame.image.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(plane, frame.crop_affine, (width, height), flags=flags, borderValue=beyond)
    return np.asarray(laid, np.uint8)
