"""Options that several commands share, and what their words mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from avatar_client.errors import InvalidConfigError

if TYPE_CHECKING:
    from avatar_sdk.motion import MotionConfig
    from avatar_sdk.portrait import Background

Verbose = Annotated[bool, typer.Option("--verbose", help="Show where an error came from.")]
Model = Annotated[str, typer.Option(help="**lite** (shipped network), **warp** (no network), or an exported model.")]
Framing = Annotated[str, typer.Option(help="**face**, **bust**, or the field of view in face sizes, 1.4 to 8.")]
BackgroundOption = Annotated[
    str,
    typer.Option(
        "--background",
        help="**keep** the photo's own, **blur** it, a colour as #rrggbb, or an image file.",
    ),
]
NeutralOption = Annotated[
    str,
    typer.Option(
        "--neutral",
        help="Which pose of the driver looks like the portrait: the nearest to neutral so far (**auto**), the "
        "**first**, none (**absolute**: motion taken over as it is), or the number of a frame.",
    ),
]
Smoothing = Annotated[str, typer.Option(help="**on** filters the tracker's jitter, **off** does not.")]
BadgeOption = Annotated[
    bool,
    typer.Option(
        "--badge/--no-badge",
        help="The visible AI mark. Without it, telling viewers that the picture is generated is your responsibility.",
    ),
]


def parse_framing(word: str) -> float:
    """Field of view in face sizes.

    Raises:
        InvalidConfigError: neither a name nor a number.
    """
    from avatar_sdk.portrait import FRAMINGS

    if word in FRAMINGS:
        return FRAMINGS[word]
    try:
        return float(word)
    except ValueError:
        raise InvalidConfigError(
            f"framing is {word!r}; it must be one of {', '.join(FRAMINGS)}, or a number of face sizes", field="framing"
        ) from None


def parse_background(word: str) -> Background:
    """What stands behind the person.

    Raises:
        InvalidConfigError: not a known word, a colour or a readable file.
    """
    from avatar_sdk.portrait import Background, BackgroundKind

    if word in (BackgroundKind.KEEP.value, BackgroundKind.BLUR.value):
        return Background(BackgroundKind(word))
    if colour := re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", word):
        red, green, blue = (int(part, 16) for part in colour.groups())
        return Background(BackgroundKind.COLOR, (red, green, blue))
    try:
        return Background(BackgroundKind.IMAGE, image=Path(word).read_bytes())
    except OSError as error:
        raise InvalidConfigError(
            f"background is {word!r}; it must be keep, blur, a colour as #20aa60, or an image file ({error.strerror})",
            field="background",
        ) from None


def parse_neutral(word: str) -> tuple[str, int | None]:
    """The neutral mode's name, and the number of the neutral frame if one was named.

    Raises:
        InvalidConfigError: neither a mode nor a frame number.
    """
    if word in ("auto", "first", "absolute"):
        return word, None
    if word.isdecimal():
        return "first", int(word)
    raise InvalidConfigError(
        f"neutral is {word!r}; it must be auto, first, absolute, or the number of a frame from 0", field="neutral"
    )


def parse_counts(words: str) -> tuple[int, ...]:
    """Numbers with commas or spaces between them.

    Raises:
        InvalidConfigError: something else.
    """
    parts = words.replace(",", " ").split()
    if not parts or not all(part.isdecimal() for part in parts):
        raise InvalidConfigError(f"sessions is {words!r}; it must be numbers, as 1,2,4", field="sessions")
    return tuple(map(int, parts))


def parse_size(words: str) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        InvalidConfigError: something else.
    """
    if not (found := re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", words)):
        raise InvalidConfigError(f"the size is {words!r}; it must be WIDTHxHEIGHT, as 1280x720", field="size")
    return int(found[1]), int(found[2])


def parse_switch(word: str, name: str) -> bool:
    """`on` or `off`.

    Raises:
        InvalidConfigError: neither.
    """
    if word not in ("on", "off"):
        raise InvalidConfigError(f"{name} is {word!r}; it must be on or off", field=name)
    return word == "on"


def motion_config(neutral: str, smoothing: bool) -> MotionConfig:
    """The motion configuration of a command line."""
    from avatar_sdk.motion import MotionConfig, Neutral, SmoothingConfig

    return MotionConfig(neutral=Neutral(neutral), smoothing=SmoothingConfig() if smoothing else None)
