"""What both networks' runtimes share: the planes a step is conditioned on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.warp import POSE_MAPS, WarpedFrame

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class NetworkDraft:
    """A frame between the two halves of its step.

    Attributes:
        frame: the warped frame.
        guide: (1, 11, 256, 256) uint8, what the networks saw of it.
        latent: (1, C, grid, grid) float32, the generator's output.
        timings_us: stage → time spent.
    """

    frame: WarpedFrame
    guide: Pixels
    latent: NDArray[np.float32]
    timings_us: dict[str, int]


def guide_of(frame: WarpedFrame) -> Pixels:
    """(1, 11, H, W) uint8: RGB of the warped crop, then the pose maps."""
    side = frame.crop.shape[0]
    guide = np.empty((1, 3 + len(POSE_MAPS), side, side), np.uint8)
    for channel in range(3):
        guide[0, channel] = frame.crop[..., channel]
    guide[0, 3:] = frame.maps
    return guide


def at_rest(portrait: Portrait) -> Motion:
    """The motion that changes nothing."""
    return Motion(portrait.landmarks, 1.0, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
