"""From what the camera saw to what the avatar does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from avatar_client.pose import Pose
from numpy.typing import NDArray


class MotionSource(Enum):
    """What a frame is driven by."""

    POSE = "pose"
    HELD = "held"
    IDLE = "idle"


@dataclass(frozen=True, eq=False)
class Motion:
    """The driven face of one frame, in portrait space: output pixels, x right, y down, z in the same unit, negative towards
    the camera.

    Attributes:
        landmarks: (478, 3) float32, where every landmark of the portrait shall be.
        head_scale, head_rotation (3, 3), head_translation (3,): the rigid part, `driven = scale * P @ rotation.T +
            translation` for points P (N, 3) that ride on the portrait's head.
        shoulders: (2, 2) float32 displacement in output pixels of the portrait's right and left shoulder, or None when the
            body is not tracked.
        source: what drove this frame.
    """

    landmarks: NDArray[np.float32]
    head_scale: float
    head_rotation: NDArray[np.float32]
    head_translation: NDArray[np.float32]
    shoulders: NDArray[np.float32] | None = None
    source: MotionSource = MotionSource.POSE


@dataclass(frozen=True)
class MotionConfig:
    """How the driver's motion becomes the avatar's."""


@dataclass(eq=False)
class MotionState:
    """Everything the motion of one session remembers."""


class Retargeter:
    """Moves one portrait's landmarks as a driver moves theirs."""

    def __init__(self, landmarks: NDArray[np.float32], config: MotionConfig) -> None:
        self.config = config

    def start(self) -> MotionState:
        """A fresh stream."""
        return MotionState()

    def step(self, state: MotionState, pose: Pose | None, time_us: int) -> Motion:
        """Motion of the frame at `time_us`. Mutates `state` in place. `pose` is None when there is no new one."""
        raise NotImplementedError
