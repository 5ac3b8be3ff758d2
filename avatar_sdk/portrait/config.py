"""What the caller chooses about a portrait."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from avatar_client.errors import InvalidConfigError

FRAMINGS: Final = {"face": 2.2, "bust": 3.2}
"""Named fields of view. Unit: face sizes."""

SIDE_LIMITS_PX: Final = (64, 2048)


class BackgroundKind(Enum):
    """What stands behind the person."""

    KEEP = "keep"
    BLUR = "blur"
    COLOR = "color"
    IMAGE = "image"


@dataclass(frozen=True)
class Background:
    """What stands behind the person.

    Attributes:
        kind: the photo's own background, filled in behind the person; the same, blurred; a colour; a picture.
        color_rgb: for `COLOR`. Range: [0, 255] each.
        image: for `IMAGE`, an encoded JPEG, PNG or WebP; it fills the frame, cut to fit.

    Raises:
        InvalidConfigError: when a colour is out of range or the picture is missing.
    """

    kind: BackgroundKind = BackgroundKind.KEEP
    color_rgb: tuple[int, int, int] = (0, 177, 64)
    image: bytes = b""

    def __post_init__(self) -> None:
        if len(self.color_rgb) != 3 or not all(0 <= value <= 255 for value in self.color_rgb):
            raise InvalidConfigError(
                f"background colour is {self.color_rgb}; it must be three numbers in [0, 255]",
                field="background.color_rgb",
            )
        if self.kind is BackgroundKind.IMAGE and not self.image:
            raise InvalidConfigError(
                "the background is to be a picture, but none was given; pass its bytes as `image`",
                field="background.image",
            )


@dataclass(frozen=True)
class PortraitConfig:
    """How a photo becomes a portrait.

    Attributes:
        width_px, height_px: size of the output. Range: [64, 2048], even.
        framing: field of view of the shorter side. Unit: face sizes. Range: [1.4, 8]. A view wider than the photo is
            narrowed to what the photo holds, but never below `FRAMINGS["face"]` or what was asked for.
        background: what stands behind the person.

    Raises:
        InvalidConfigError: when a value is out of range.
    """

    width_px: int = 512
    height_px: int = 512
    framing: float = FRAMINGS["bust"]
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        low, high = SIDE_LIMITS_PX
        for name in ("width_px", "height_px"):
            side = getattr(self, name)
            if not low <= side <= high or side % 2:
                raise InvalidConfigError(f"{name} is {side}; it must be even and in [{low}, {high}]", field=name)
        if not 1.4 <= self.framing <= 8.0:
            raise InvalidConfigError(f"framing is {self.framing:g}; it must be in [1.4, 8] face sizes", field="framing")
