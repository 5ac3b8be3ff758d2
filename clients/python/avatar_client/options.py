"""What a session may be asked for, in plain values."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import InvalidConfigError, InvalidPortraitError

Neutral = Literal["auto", "first", "absolute"]
Encoding = Literal["jpeg", "h264", "rgb"]
ImageFile = str | os.PathLike[str] | bytes
"""Path of an image file, or its bytes."""

MAX_IMAGE_BYTES: Final = 8 * 2**20
_FRAMINGS: Final = {"face": pb.FRAMING_FACE, "bust": pb.FRAMING_BUST}
_NEUTRALS: Final = {
    "auto": pb.NEUTRAL_MODE_AUTO,
    "first": pb.NEUTRAL_MODE_FIRST,
    "absolute": pb.NEUTRAL_MODE_ABSOLUTE,
}
_ENCODINGS: Final = {"jpeg": pb.ENCODING_JPEG, "h264": pb.ENCODING_H264, "rgb": pb.ENCODING_RGB}


@dataclass(frozen=True, slots=True)
class Gains:
    """How strongly each part of the motion is followed; None leaves it as it is. Unit: factor. Range: [0, 2].

    Attributes:
        head: head rotation.
        eyes: lid opening and gaze.
        brows: brow movement.
        mouth: mouth and jaw.
        translation: head translation and approach.
    """

    head: float | None = None
    eyes: float | None = None
    brows: float | None = None
    mouth: float | None = None
    translation: float | None = None

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for a gain outside [0, 2]."""
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and not 0.0 <= value <= 2.0:
                raise InvalidConfigError(f"gain {one.name} is {value}; it must be in [0, 2]", field=f"gains.{one.name}")

    def to_proto(self) -> pb.Gains:
        """The message of the same name."""
        return pb.Gains(**{one.name: getattr(self, one.name) for one in fields(self)})


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How an avatar looks, moves and travels.

    Attributes:
        framing: how much of the portrait shows: "bust", "face", or a field of view in face sizes in [1.4, 6].
        background: "keep", "blur", a colour such as "#20aa60", or an image file (path or bytes) put behind.
        neutral: which driver pose counts as looking ahead without expression.
        gains: how strongly the motion is followed.
        smoothing: whether jitter is filtered.
        seed: seed of the generator's noise.
        encoding: how frames travel: "jpeg" stands alone, "h264" is a third of the size, "rgb" is for the same host.
        quality: JPEG quality in [1, 100]; 0 = the server's default.
        bit_rate: H.264 bits per second; 0 = the server's default.
        max_in_flight: frames under way before the server waits, in [1, 8]; 0 = by measured round trip.
        badge: whether the "AI" badge is drawn; the server may insist.
    """

    framing: Literal["face", "bust"] | float = "bust"
    background: str | os.PathLike[str] | bytes = "keep"
    neutral: Neutral = "auto"
    gains: Gains = field(default_factory=Gains)
    smoothing: bool = True
    seed: int = 0
    encoding: Encoding = "jpeg"
    quality: int = 0
    bit_rate: int = 0
    max_in_flight: int = 0
    badge: bool = True

    def session_config(self) -> pb.SessionConfig:
        """The part that depends on portrait and driver.

        Raises:
            InvalidConfigError: a value the protocol has no room for; the message names it.
        """
        config = pb.SessionConfig(
            background=_background(self.background),
            neutral=neutral_mode(self.neutral),
            gains=self.gains.to_proto(),
            smoothing=self.smoothing,
            seed=self.seed,
        )
        if isinstance(self.framing, str):
            if self.framing not in _FRAMINGS:
                raise InvalidConfigError(
                    f"framing is {self.framing!r}; it must be 'face', 'bust' or a number of face sizes", field="framing"
                )
            config.framing = _FRAMINGS[self.framing]
        else:
            if not 1.4 <= self.framing <= 6.0:
                raise InvalidConfigError(
                    f"framing is {self.framing}; it must be in [1.4, 6] face sizes", field="framing"
                )
            config.framing_scale = self.framing
        return config

    def stream_config(self) -> pb.StreamConfig:
        """The part that depends on the transport, without session and token."""
        if self.encoding not in _ENCODINGS:
            raise InvalidConfigError(
                f"encoding is {self.encoding!r}; it must be one of {', '.join(_ENCODINGS)}", field="encoding"
            )
        for name, low, high in (("quality", 1, 100), ("max_in_flight", 1, 8)):
            value = getattr(self, name)
            if value and not low <= value <= high:
                raise InvalidConfigError(f"{name} is {value}; it must be in [{low}, {high}], or 0", field=name)
        return pb.StreamConfig(
            encoding=_ENCODINGS[self.encoding],
            quality=self.quality,
            bit_rate=self.bit_rate,
            max_in_flight=self.max_in_flight,
            badge=self.badge,
        )


def neutral_mode(name: str) -> pb.NeutralMode:
    """The protocol's value for "auto", "first" or "absolute".

    Raises:
        InvalidConfigError: it is none of these.
    """
    if name not in _NEUTRALS:
        raise InvalidConfigError(f"neutral is {name!r}; it must be one of {', '.join(_NEUTRALS)}", field="neutral")
    return _NEUTRALS[name]


def portrait_bytes(portrait: ImageFile) -> bytes:
    """The bytes of a portrait given as bytes or as a path.

    Raises:
        InvalidPortraitError: the file is missing, empty or larger than the protocol allows.
    """
    shown = "the portrait" if isinstance(portrait, bytes) else str(os.fspath(portrait))
    try:
        data = portrait if isinstance(portrait, bytes) else Path(portrait).read_bytes()
    except OSError as error:
        raise InvalidPortraitError(f"{shown} cannot be read: {error.strerror}", field="portrait") from error
    if not data:
        raise InvalidPortraitError(f"{shown} is empty; give a JPEG, PNG or WebP with one face", field="portrait")
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidPortraitError(
            f"{shown} has {len(data)} bytes, more than {MAX_IMAGE_BYTES}; save it smaller or as JPEG", field="portrait"
        )
    return data


def _background(value: str | os.PathLike[str] | bytes) -> pb.Background:
    if value == "keep":
        return pb.Background(kind=pb.BACKGROUND_KIND_KEEP)
    if value == "blur":
        return pb.Background(kind=pb.BACKGROUND_KIND_BLUR)
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return pb.Background(kind=pb.BACKGROUND_KIND_COLOR, color_rgb=int(value[1:], 16))
    try:
        image = value if isinstance(value, bytes) else Path(value).read_bytes()
    except OSError as error:
        raise InvalidConfigError(
            f"background is {os.fspath(value)!r}: neither 'keep', 'blur', '#rrggbb' nor a readable image "
            f"({error.strerror})",
            field="background",
        ) from error
    if len(image) > MAX_IMAGE_BYTES:
        raise InvalidConfigError(
            f"the background has {len(image)} bytes, more than {MAX_IMAGE_BYTES}", field="background"
        )
    return pb.Background(kind=pb.BACKGROUND_KIND_IMAGE, image=image)
