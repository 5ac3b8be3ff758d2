"""What goes out of a step, and what stays for the next one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import drive
from avatar_sdk.motion.calibration import Calibration
from avatar_sdk.motion.config import Gains, MotionEvent, MotionSource, Neutral
from avatar_sdk.motion.neutral import NeutralSearch
from avatar_sdk.motion.outliers import OutlierGate
from avatar_sdk.motion.smoothing import OneEuroState

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Motion:
    """The driven face of one frame, in portrait space.

    Output pixels, x right, y down, z in the same unit, negative towards the camera.

    Attributes:
        landmarks: (478, 3) float32, where every landmark of the portrait shall be.
        head_scale, head_rotation (3, 3), head_translation (3,): the rigid part, `driven = scale * P @ rotation.T +
            translation` for points P (N, 3) that ride on the portrait's head.
        shoulders: (2, 2) float32 displacement in output pixels of the portrait's right and left shoulder, or None when
            the body is not tracked.
        source: what drove this frame.
    """

    landmarks: Floats
    head_scale: float
    head_rotation: Floats
    head_translation: Floats
    shoulders: Floats | None = None
    source: MotionSource = MotionSource.POSE


@dataclass(eq=False)
class MotionState:
    """Everything the motion of one session remembers. Nothing in it belongs to a portrait, so it survives a new one.

    Attributes:
        events: what happened since the last `take_events`.
        dropped_outliers: poses that could not be true and were left out.
        neutral: (478, 3) the driver's neutral face, image widths; None before the first pose.
        place: (8,) where the driver usually sits against the neutral, `drive.PLACEMENT`; moves in automatic mode only.
        place_s: for how long it was learned. Unit: seconds.
    """

    events: list[MotionEvent] = field(default_factory=list)
    dropped_outliers: int = 0
    neutral: Floats | None = None
    neutral_body: Floats | None = None
    neutral_mode: Neutral | None = None
    place: Floats = field(default_factory=lambda: drive.still()[drive.PLACEMENT])
    place_s: float = 0.0
    search: NeutralSearch | None = field(default_factory=NeutralSearch)
    collected: list[Floats] | None = None
    collected_since_us: int = 0
    gate: OutlierGate = field(default_factory=OutlierGate)
    calibration: Calibration | None = None
    filter: OneEuroState | None = None
    target: Floats = field(default_factory=drive.still)
    mouth_motion: float = 0.0
    shown: Floats = field(default_factory=drive.still)
    offset: Floats | None = None
    offset_since_us: int = 0
    gains: Gains | None = None
    pose_us: int = 0
    seen_us: int | None = None
    idle_since_us: int | None = None
    face_lost: bool = False

    def take_events(self) -> list[MotionEvent]:
        """The events since the last call, oldest first."""
        events, self.events = self.events, []
        return events
