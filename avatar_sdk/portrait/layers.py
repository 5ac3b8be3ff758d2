"""Parts the person from the background, so that one can move before the other."""

from __future__ import annotations

import cv2
import numpy as np
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray

from avatar_sdk.portrait.config import Background, BackgroundKind
from avatar_sdk.portrait.photo import decode_photo
from avatar_sdk.topology import CHIN, FOREHEAD, OVAL

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def person_matte(canvas: Pixels, person: Floats, landmarks: Floats) -> Floats:
    """A soft outline of the person that follows the photo's edges.

    Args:
        canvas: (H, W, 3) uint8 RGB.
        person: (H, W) float32 in [0, 1], a coarse segmentation.
        landmarks: (478, 3) in canvas pixels.

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = person.shape
    face = np.zeros((height, width), np.uint8)
    oval = landmarks[OVAL, :2]
    cv2.fillPoly(face, [cv2.convexHull(oval).round().astype(np.int32)], 255)
    inside = face > 0
    if float(person[inside].mean() if inside.any() else 0.0) < 0.7:
        person = np.maximum(person, _bust(landmarks, (height, width)))
    radius = max(2, round(0.012 * max(height, width)))
    guide = canvas.astype(np.float32) / 255
    refined = cv2.ximgproc.guidedFilter(guide, person, radius, 2e-4)
    refined = np.clip((refined - 0.12) / 0.76, 0, 1)
    # Far from the outline the coarse segmentation knows better than the photo's texture.
    sure = cv2.blur(person, (2 * radius + 1, 2 * radius + 1))
    refined = np.where(sure > 0.97, 1, np.where(sure < 0.03, 0, refined))
    return np.maximum(refined, cv2.GaussianBlur(face, (0, 0), 1.5).astype(np.float32) / 255).astype(np.float32)


def _bust(landmarks: Floats, size: tuple[int, int]) -> Floats:
    """Head and shoulders as a plain shape, for pictures in which no person is recognised."""
    shape = np.zeros(size, np.uint8)
    top, chin = landmarks[FOREHEAD, :2], landmarks[CHIN, :2]
    tall = float(np.linalg.norm(chin - top))
    centre = (top + chin) / 2
    hull = cv2.convexHull((centre + (landmarks[OVAL, :2] - centre) * [1.3, 1.35]).astype(np.float32))
    cv2.fillPoly(shape, [hull.round().astype(np.int32)], 255)
    across = np.array([0.45, 1.4, 1.5, -1.5, -1.4, -0.45]) * tall
    down = np.array([0.0, 0.75, 9.0, 9.0, 0.75, 0.0]) * tall - 0.2 * tall
    torso = chin + np.stack([across, down], 1)
    cv2.fillPoly(shape, [torso.round().astype(np.int32)], 255)
    return cv2.GaussianBlur(shape, (0, 0), 0.03 * tall).astype(np.float32) / 255


def fill(colours: Floats, known: Floats) -> Floats:
    """Continues what is known smoothly over what is not (push-pull).

    Source: Gortler et al., The Lumigraph, SIGGRAPH 1996, §3.4.

    Args:
        colours: (H, W, 3) float32.
        known: (H, W) float32 in [0, 1].

    Returns:
        (H, W, 3) float32; where `known` is 1, `colours`.
    """
    height, width = known.shape
    if min(height, width) <= 2:
        total = float(known.sum())
        mean = (colours * known[..., None]).sum((0, 1)) / total if total > 0 else np.full(3, 128, np.float32)
        return colours * known[..., None] + mean.astype(np.float32) * (1 - known[..., None])
    small = ((width + 1) // 2, (height + 1) // 2)
    less = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    mixed = cv2.resize(colours * known[..., None], small, interpolation=cv2.INTER_AREA) / (less[..., None] + 1e-6)
    below = cv2.resize(fill(mixed, np.minimum(1, 4 * less)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(colours * known[..., None] + below * (1 - known[..., None]), np.float32)


def part_layers(canvas: Pixels, matte: Floats, beyond: Floats, reach_px: float) -> tuple[Pixels, Pixels]:
    """Person and background, such that `person + (1 - alpha) * background` is the photo again, to the last bit or two.

    Args:
        canvas: (H, W, 3) uint8 RGB.
        matte: (H, W) float32 in [0, 1].
        beyond: (H, W) float32, > 0 outside the photo.
        reach_px: how far around the person the photo is not trusted to be background.

    Returns:
        person: (H, W, 4) uint8 RGBA, colours multiplied by alpha.
        background: (H, W, 3) uint8 RGB, filled in behind the person.
    """
    photo = canvas.astype(np.float32)
    side = 2 * max(1, round(reach_px)) + 1
    hole = cv2.dilate((matte > 0.02).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    known = (1 - hole.astype(np.float32)) * (beyond <= 24)
    behind = fill(photo, known)
    # Right beside the person the photo itself is the background.
    edge = np.clip(matte / 0.02, 0, 1)[..., None]
    behind = (photo + (behind - photo) * edge).clip(0, 255)
    # The least alpha with which some colour in [0, 255] over `behind` gives the photo's.
    short = np.where(photo < behind, 1 - photo / np.maximum(behind, 1), (photo - behind) / np.maximum(255 - behind, 1))
    alpha = np.where(matte > 0.02, np.maximum(matte, short.max(-1)), matte).clip(0, 1)[..., None]
    alpha = (alpha * 255).round()
    background = behind.round()
    person = photo - (1 - alpha / 255) * background
    person = np.minimum(person.clip(0, 255), alpha + 1)
    return np.concatenate([person, alpha], -1).round().clip(0, 255).astype(np.uint8), background.astype(np.uint8)


def clean_person(person: Pixels) -> Pixels:
    """The person with edge colours continued from inside, free of the old background.

    Args:
        person: (H, W, 4) uint8 RGBA, colours multiplied by alpha.

    Returns:
        The same with clean edges, (H, W, 4) uint8.
    """
    alpha = person[..., 3].astype(np.float32) / 255
    inner = fill(person[..., :3].astype(np.float32), (alpha > 0.95).astype(np.float32))
    clean = inner * alpha[..., None]
    soft = (alpha <= 0.95)[..., None]
    return np.concatenate([np.where(soft, clean.round(), person[..., :3]).astype(np.uint8), person[..., 3:]], -1)


def make_background(filled: Pixels, background: Background) -> Pixels:
    """What the caller wants behind the person.

    Args:
        filled: (H, W, 3) uint8 RGB, the photo's own background without the person.
        background: the choice.

    Raises:
        InvalidConfigError: the picture cannot be used.
    """
    height, width = filled.shape[:2]
    if background.kind is BackgroundKind.KEEP:
        return filled
    if background.kind is BackgroundKind.COLOR:
        return np.full_like(filled, background.color_rgb)
    if background.kind is BackgroundKind.BLUR:
        return cv2.GaussianBlur(filled, (0, 0), 0.025 * max(height, width))
    picture, _ = decode_photo(background.image, what="background.image", error=InvalidConfigError)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(width, round(scale * picture.shape[1])), max(height, round(scale * picture.shape[0])))
    picture = cv2.resize(picture, size, interpolation=kind)
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])
