"""Chooses which part of the photo is shown, and samples it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.portrait.config import FRAMINGS, PortraitConfig

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

MARGIN: Final = 0.25
"""Photo kept beyond each edge of the output, for the head's and body's motion. Unit: the longer side."""


RIM: Final = 0.006
"""Width of the photo's edge that is not continued. Unit: the photo's longer side."""


@dataclass(frozen=True, eq=False)
class View:
    """Which part of the photo is shown.

    Attributes:
        affine: (2, 3) float32, photo pixels → output pixels; a pixel's index is its centre.
        margin_px: how far the canvas reaches beyond each edge of the output.
    """

    affine: Floats
    margin_px: int


def choose_view(landmarks: Floats, photo_size: tuple[int, int], config: PortraitConfig) -> View:
    """The field of view around a face, moved and narrowed so that the photo fills it as far as possible.

    Args:
        landmarks: (478, 3) in photo pixels.
        photo_size: width and height of the photo in pixels.
        config: output size and framing.
    """
    low, high = landmarks[:, :2].min(0).astype(np.float64), landmarks[:, :2].max(0).astype(np.float64)
    face = float((high - low).max())
    output = np.array([config.width_px, config.height_px], np.float64)
    photo = np.array(photo_size, np.float64)
    size = output / output.min() * (config.framing * face)
    narrowest = min(FRAMINGS["face"], config.framing) / config.framing
    size *= max(narrowest, min(1.0, float((photo / size).min())))
    sizes_seen = float(size.min()) / face
    # A wider view shows more of what is below the face than above it.
    centre = (low + high) / 2 + [0.5, 0.5 + 0.2 * face * max(0.0, sizes_seen - FRAMINGS["face"])]
    start = centre - size / 2
    inside = np.where(size <= photo, np.clip(start, 0, photo - size), (photo - size) / 2)
    if size[1] > photo[1]:
        inside[1] = photo[1] - size[1]  # what lacks is better lacking above: a body stands on the frame's edge
    reach = 0.5 * face * max(0.0, sizes_seen - 1.6)
    start += np.clip(inside - start, -reach, reach)
    scale = output[0] / size[0]
    offset = scale * (0.5 - start) - 0.5
    affine = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)
    return View(affine, margin_px(config.width_px, config.height_px))


def margin_px(width_px: int, height_px: int) -> int:
    """How far the canvas of an output of this size reaches beyond each of its edges."""
    return 2 * round(MARGIN * max(width_px, height_px) / 2)


def sample_canvas(photo: Pixels, view: View, config: PortraitConfig) -> tuple[Pixels, Floats]:
    """The photo on the canvas: the output's view and a margin around it.

    Returns:
        canvas: (H + 2 * margin, W + 2 * margin, 3) uint8 RGB; beyond the photo its edge goes on, ever softer.
        beyond: (H + 2 * margin, W + 2 * margin) float32, how far a pixel lies outside the photo. Unit: canvas pixels.
    """
    margin = view.margin_px
    affine = view.affine.astype(np.float64)
    affine[:, 2] += margin
    scale = affine[0, 0]
    width, height = config.width_px + 2 * margin, config.height_px + 2 * margin
    if scale < 1:
        photo = cv2.GaussianBlur(photo, (0, 0), 0.35 * np.sqrt(1 / scale**2 - 1) + 1e-3)
    canvas = cv2.warpAffine(photo, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # A photo's outermost pixels are often a frame or a scanner's rim: what lies beyond continues from within.
    rim = RIM * max(photo.shape[:2])
    edges = np.array([[rim, photo.shape[1] - rim], [rim, photo.shape[0] - rim]]) - 0.5
    (left, right), (top, bottom) = scale * edges + affine[:, 2:]
    x, y = np.arange(width), np.arange(height)
    beside, above = np.maximum(left - x, x - right), np.maximum(top - y, y - bottom)
    beyond = np.maximum(beside[None, :], above[:, None]).clip(0, None)
    columns, rows = x.clip(round(left), round(right)), y.clip(round(top), round(bottom))
    if beyond.any():
        canvas = canvas[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)[None, :]]
    return _softened(canvas, beyond), beyond.astype(np.float32)


def _softened(canvas: Pixels, beyond: NDArray[np.float64]) -> Pixels:
    """The continued edge, free of streaks."""
    height, width = beyond.shape
    soft = canvas.astype(np.float32)
    for start, sigma, reduction in ((1.0, 3.0, 2), (8.0, 9.0, 4), (24.0, 27.0, 8)):
        weight = np.clip((beyond - start) / (2 * start + 2), 0, 1).astype(np.float32)
        if not weight.any():
            break
        small = cv2.resize(soft, (width // reduction, height // reduction), interpolation=cv2.INTER_AREA)
        blurred = cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / reduction), (width, height))
        soft += weight[..., None] * (blurred - soft)
    return np.asarray(soft.round().clip(0, 255), np.uint8)
