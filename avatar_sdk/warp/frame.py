"""What a warp step hands to the network and the compositor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WarpedFrame:
    """One warped frame; its arrays are its own and never written again.

    Attributes:
        image: (H, W, 3) uint8 RGB, the plain warp over its background at output size: the floor of the product.
        crop: (256, 256, 3) uint8 RGB, `image` seen through the face-aligned crop.
        maps: (MAPS, 256, 256) uint8 in [0, 255], the pose maps named by `POSE_MAPS`, in the crop.
        gate: (256, 256) uint8 in [0, 255], how much of a learned residual may pass: geometric gate × feathered edge.
        crop_affine: (2, 3) float32, output pixels → crop pixels: a similarity that follows the driven head.
    """

    image: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    maps: NDArray[np.uint8]
    gate: NDArray[np.uint8]
    crop_affine: NDArray[np.float32]


POSE_MAPS: Final = ("contours", "iris", "inner_mouth", "lips", "eyes", "face", "stretch", "visibility")
"""Channels of `WarpedFrame.maps`, in order. `stretch`: 128 = none. `visibility`: 255 = seen in the portrait too."""

CROP_PX: Final = 256
"""Side of the face-aligned crop the network works on."""
