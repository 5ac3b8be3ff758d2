"""How the driver's motion becomes the avatar's: every choice in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from avatar_client.errors import InvalidConfigError


class MotionSource(Enum):
    """What a frame is driven by."""

    POSE = "pose"
    HELD = "held"
    IDLE = "idle"


class MotionEvent(Enum):
    """What happened during a step that somebody may want to be told."""

    FACE_LOST = "face_lost"
    FACE_FOUND = "face_found"
    CALIBRATED = "calibrated"


class Neutral(Enum):
    """Which pose of the driver counts as "no expression, looking ahead", and so looks like the portrait itself.

    AUTO: the nearest-to-neutral pose seen so far; a turned, blinking or speaking first frame is soon replaced.
    FIRST: the first pose.
    ABSOLUTE: none; head rotation and face shape are taken over as they are, place and size relative to the first pose.
    """

    AUTO = "auto"
    FIRST = "first"
    ABSOLUTE = "absolute"


@dataclass(frozen=True)
class Gains:
    """How strongly each part of the motion is followed. Range: [0, 2].

    Attributes:
        head: head rotation.
        eyes: lid opening and gaze.
        brows: brow and forehead movement.
        mouth: mouth, jaw and cheeks.
        translation: head translation, approach and shoulders.

    Raises:
        InvalidConfigError: when a gain is out of range.
    """

    head: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    mouth: float = 1.0
    translation: float = 1.0

    def __post_init__(self) -> None:
        for part in ("head", "eyes", "brows", "mouth", "translation"):
            value = getattr(self, part)
            if not 0.0 <= value <= 2.0:
                raise InvalidConfigError(f"gain {part} is {value}; it must be in [0, 2]", field=f"gains.{part}")


@dataclass(frozen=True)
class OneEuroConfig:
    """A One-Euro filter; the cutoff is `min_cutoff_hz + beta * speed`.

    Attributes:
        min_cutoff_hz: cutoff at rest; lower = calmer.
        beta: how fast the cutoff rises with speed; higher = less lag. Unit: Hz per (face width or radian per second).
    """

    min_cutoff_hz: float
    beta: float


@dataclass(frozen=True)
class SmoothingConfig:
    """One filter per part: the rigid head hard, eyes and mouth lightly."""

    head: OneEuroConfig = OneEuroConfig(1.0, 12.0)
    eyes: OneEuroConfig = OneEuroConfig(3.0, 100.0)
    brows: OneEuroConfig = OneEuroConfig(1.5, 40.0)
    mouth: OneEuroConfig = OneEuroConfig(3.0, 100.0)
    shoulders: OneEuroConfig = OneEuroConfig(1.0, 8.0)


@dataclass(frozen=True)
class MotionConfig:
    """How the driver's motion becomes the avatar's.

    Attributes:
        neutral: which driver pose looks like the portrait itself.
        gains: how strongly each part is followed.
        smoothing: One-Euro filters, or None for none.
        hold_ms: how long the last pose is held when no new one comes.
        face_lost_ms: how long without a face until `MotionEvent.FACE_LOST`.
        ease_ms: how long a change of neutral or a returning face takes to blend in.
        idle: whether the avatar blinks and breathes while there is no face.
        seed: of the idle motion; the same seed blinks at the same times.
    """

    neutral: Neutral = Neutral.AUTO
    gains: Gains = field(default_factory=Gains)
    smoothing: SmoothingConfig | None = field(default_factory=SmoothingConfig)
    hold_ms: float = 100.0
    face_lost_ms: float = 1000.0
    ease_ms: float = 300.0
    idle: bool = True
    seed: int = 0
