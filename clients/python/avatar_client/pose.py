"""What MediaPipe sees in one camera frame, as a value that travels.

Coordinates are in image widths: x and z as MediaPipe gives them, y multiplied by height/width.
Origin top left, y down, z negative towards the camera. Never mirrored: landmark 33 belongs to the
subject's right eye.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_client.errors import InvalidPoseError

Array = NDArray[np.float32]

FACE_SHAPE: Final = (478, 3)
"""468 mesh landmarks + 10 iris landmarks; x, y, z."""
BODY_SHAPE: Final = (33, 4)
"""x, y, z, visibility in [0, 1]."""
HANDS_SHAPE: Final = (2, 21, 3)
"""The subject's left hand, then the right; NaN where a hand is absent."""
COORDINATE_LIMIT: Final = 8.0
"""Landmarks further than this many image widths from the origin are a fault, not a pose."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """One observation of the driver.

    Attributes:
        timestamp_us: monotonic capture time on the client's clock. Unit: microseconds.
        face: (478, 3) float32, image widths; all zeros when `face_present` is False.
        face_present: whether a face was found in this camera frame.
        face_confidence: [0, 1].
        body: (33, 4) float32 x, y, z in image widths + visibility, or None when not tracked.
        hands: (2, 21, 3) float32 image widths, NaN where absent, or None when not tracked.
    """

    timestamp_us: int
    face: Array = field(default_factory=lambda: np.zeros(FACE_SHAPE, np.float32))
    face_present: bool = True
    face_confidence: float = 1.0
    body: Array | None = None
    hands: Array | None = None

    def __post_init__(self) -> None:
        """Checks shapes and ranges.

        Raises:
            InvalidPoseError: naming the part at fault, its value and what was expected.
        """
        if not 0 <= self.timestamp_us < 2**63:
            raise InvalidPoseError(
                f"timestamp_us is {self.timestamp_us}; it must be a non-negative 63-bit number of microseconds",
                field="pose.timestamp_us",
            )
        if not 0.0 <= self.face_confidence <= 1.0:
            raise InvalidPoseError(
                f"face_confidence is {self.face_confidence}; it must be in [0, 1]", field="pose.face_confidence"
            )
        _check("face", self.face, FACE_SHAPE, may_be_nan=False)
        if self.body is not None:
            _check("body", self.body, BODY_SHAPE, may_be_nan=False)
        if self.hands is not None:
            _check("hands", self.hands, HANDS_SHAPE, may_be_nan=True)

    @classmethod
    def absent(cls, timestamp_us: int) -> Pose:
        """A camera frame in which no face was found."""
        return cls(timestamp_us, face_present=False, face_confidence=0.0)


def _check(part: str, values: Array, shape: tuple[int, ...], *, may_be_nan: bool) -> None:
    if values.dtype != np.float32 or values.shape != shape:
        raise InvalidPoseError(
            f"{part} is {values.dtype}{list(values.shape)}; it must be float32{list(shape)}", field=f"pose.{part}"
        )
    bound = np.abs(values)
    usable = np.isnan(values) | (bound <= COORDINATE_LIMIT) if may_be_nan else bound <= COORDINATE_LIMIT
    if not usable.all():
        worst = values[~usable].flat[0]
        raise InvalidPoseError(
            f"{part} holds {worst}; every coordinate must be finite and within ±{COORDINATE_LIMIT:g} image widths",
            field=f"pose.{part}",
        )


def pack(values: Array) -> bytes:
    """Row-major little-endian float32, as poses travel and are stored."""
    return values.astype("<f4", copy=False).tobytes()


def unpack(data: bytes, part: str, shape: tuple[int, ...]) -> Array:
    """Inverse of `pack`; a read-only view on `data`.

    Raises:
        InvalidPoseError: when the number of bytes does not fit `shape`.
    """
    expected = 4 * int(np.prod(shape))
    if len(data) != expected:
        raise InvalidPoseError(
            f"{part} has {len(data)} bytes; {list(shape)} float32 need {expected}", field=f"pose.{part}"
        )
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32, copy=False)
