"""Decodes what somebody uploaded, trusting nothing about it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.errors import InvalidInputError, InvalidPortraitError
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS: Final = ("JPEG", "PNG", "WEBP")
MAX_BYTES: Final = 8 * 2**20
MAX_PIXELS: Final = 64_000_000
MIN_SIDE_PX: Final = 64
WORKING_SIDE_PX: Final = 3072
"""Photos are reduced to this; it is more than any output shows of a face."""

Pixels = NDArray[np.uint8]


def read_photo(source: bytes | Path) -> bytes:
    """The bytes of an uploaded photo or a file.

    Raises:
        InvalidPortraitError: the file is missing or unreadable, or there are more than 8 MiB.
    """
    if isinstance(source, bytes):
        data, name = source, "the portrait"
    else:
        name = str(source)
        try:
            with source.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InvalidPortraitError(f"{name} cannot be read: {error.strerror or error}", field="portrait") from error
    if len(data) > MAX_BYTES:
        raise InvalidPortraitError(
            f"{name} has more than {MAX_BYTES // 2**20} MiB; save it smaller or as JPEG", field="portrait"
        )
    return data


def decode_photo(
    data: bytes, *, what: str = "portrait", error: type[InvalidInputError] = InvalidPortraitError
) -> tuple[Pixels, float]:
    """Decodes a photo, upright, in RGB; transparency goes over mid-grey.

    Args:
        data: an encoded still JPEG, PNG or WebP, whatever its file is called.
        what: the field that messages name.
        error: the class to raise.

    Returns:
        (H, W, 3) uint8 RGB, longest side ≤ 3072, and by how much it was reduced, in (0, 1].

    Raises:
        InvalidPortraitError (or `error`): empty, truncated, not an image, too many pixels, animated or tiny.
    """
    if not data:
        raise error(f"the {what} is empty (0 bytes); send a JPEG, PNG or WebP image", field=what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as fault:
        raise error(f"the {what} is far too large: {fault}", field=what) from fault
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as fault:
        raise error(
            f"the {what} is not a JPEG, PNG or WebP image (its {len(data)} bytes start with {data[:8]!r})", field=what
        ) from fault
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise error(
            f"the {what} is {width}×{height} pixels; at most {MAX_PIXELS // 10**6} megapixels are accepted", field=what
        )
    if min(width, height) < MIN_SIDE_PX:
        raise error(
            f"the {what} is {width}×{height} pixels; it must have at least {MIN_SIDE_PX} on each side", field=what
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise error(f"the {what} is an animation of {frames} frames; send a still image", field=what)
    image.draft("RGB", (WORKING_SIDE_PX, WORKING_SIDE_PX))
    try:
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((WORKING_SIDE_PX, WORKING_SIDE_PX), Image.Resampling.BOX)
        pixels = np.array(_flattened(upright))
    except (OSError, ValueError, SyntaxError, EOFError) as fault:
        raise error(f"the {what} is damaged or cut off ({fault}); send the whole file", field=what) from fault
    return pixels, max(pixels.shape) / max(width, height)


def _flattened(image: Image.Image) -> Image.Image:
    """RGB without transparency."""
    if image.mode.startswith("I"):  # 16-bit greyscale; Pillow would clip it instead of scaling
        values = np.asarray(image, np.float64)
        image = Image.fromarray((values * (255 / max(values.max(), 255))).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        under = Image.new("RGBA", image.size, (128, 128, 128, 255))
        image = Image.alpha_composite(under, image)
    return image.convert("RGB")
