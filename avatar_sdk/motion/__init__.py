"""From what the camera saw to what the avatar does.

`Retargeter` reads poses against the driver's neutral face (`calibration`), which it finds or is told (`neutral`), turns
each into a `drive` in units that fit every face, smooths it, bridges gaps (`idle`), and moves the portrait's landmarks.
"""

from avatar_sdk.motion.config import (
    Gains,
    MotionConfig,
    MotionEvent,
    MotionSource,
    Neutral,
    OneEuroConfig,
    SmoothingConfig,
)
from avatar_sdk.motion.retargeter import Retargeter
from avatar_sdk.motion.state import Motion, MotionState

__all__ = [
    "Gains",
    "Motion",
    "MotionConfig",
    "MotionEvent",
    "MotionSource",
    "MotionState",
    "Neutral",
    "OneEuroConfig",
    "Retargeter",
    "SmoothingConfig",
]
