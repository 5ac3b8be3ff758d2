"""The small visible mark that says: this picture was made by a machine."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

TEXT: Final = "AI"
HEIGHT: Final = 0.055
"""Height of the badge. Unit: frame heights."""
MARGIN: Final = 0.022
OPACITY: Final = 0.72
_OVERSAMPLING: Final = 4


def draw_badge(image: Pixels) -> None:
    """Blends the badge into the lower right corner. Mutates (H, W, 3) uint8 RGB `image` in place."""
    height, width = image.shape[:2]
    color, keep = _badge(max(12, round(HEIGHT * height)))
    rows, columns = keep.shape[:2]
    margin = round(MARGIN * height)
    top, left = height - margin - rows, width - margin - columns
    if top < 0 or left < 0:
        return
    corner = image[top : top + rows, left : left + columns]
    corner[:] = ((corner * keep) >> 8) + color


@lru_cache(maxsize=8)
def _badge(height_px: int) -> tuple[Pixels, NDArray[np.uint16]]:
    """(h, w, 3) uint8 colour times its opacity, and (h, w, 1) uint16 share of the picture to keep, 256 = all."""
    scale = _OVERSAMPLING
    rows, columns = height_px * scale, round(1.7 * height_px) * scale
    plate = np.zeros((rows, columns), np.uint8)
    radius = rows // 2
    cv2.rectangle(plate, (radius, 0), (columns - radius - 1, rows - 1), 255, -1)
    cv2.circle(plate, (radius, radius), radius - 1, 255, -1)
    cv2.circle(plate, (columns - radius - 1, radius), radius - 1, 255, -1)
    letters = np.zeros_like(plate)
    font, thickness = cv2.FONT_HERSHEY_DUPLEX, max(1, rows // 14)
    (_, unit_height), _ = cv2.getTextSize(TEXT, font, 1.0, thickness)
    size = 0.56 * rows / unit_height
    (text_width, text_height), _ = cv2.getTextSize(TEXT, font, size, thickness)
    origin = ((columns - text_width) // 2, (rows + text_height) // 2)
    cv2.putText(letters, TEXT, origin, font, size, 255, thickness, cv2.LINE_AA)
    shrunk = (columns // scale, rows // scale)
    plate = cv2.resize(plate, shrunk, interpolation=cv2.INTER_AREA)
    letters = cv2.resize(letters, shrunk, interpolation=cv2.INTER_AREA)
    opacity = OPACITY * plate[..., None] / 255.0
    shade = 24 + (245 - 24) * (letters[..., None] / 255.0)
    color = np.repeat(np.floor(shade * opacity), 3, axis=2).astype(np.uint8)
    keep = np.floor(256 * (1 - opacity)).astype(np.uint16)
    return color, keep
