"""Parts the person from the background, so that one can move before the other."""

from __future__ import annotations

from collections.abc import Iterator

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
    photo = canvas.astype(np.float32)
    band = 0.012 * max(height, width)
    front = _fill_coarsely(photo, _shrunk(person > 0.5, band))
    back = _fill_coarsely(photo, _shrunk(person < 0.1, 0.5 * band))
    # Between a sure inside and a sure outside, alpha is where the colour lies between theirs.
    apart = front - back
    contrast = (apart * apart).sum(-1)
    by_colour = np.clip(((photo - back) * apart).sum(-1) / (contrast + 1), 0, 1)
    by_shape = np.clip(2.5 * (person - 0.5) + 0.5, 0, 1)
    trust = contrast / (contrast + 40.0**2)
    mixed = by_shape + trust * (by_colour - by_shape)
    mixed *= _smoothstep((person - 0.03) / 0.3)
    mixed += (1 - mixed) * _smoothstep((person - 0.7) / 0.27)
    refined = cv2.ximgproc.guidedFilter(
        photo / 255,
        mixed.astype(np.float32),
        max(2, round(0.25 * band)),
        1e-4,
    )
    refined = np.clip((refined - 0.06) / 0.88, 0, 1)
    return np.asarray(np.maximum(refined, cv2.GaussianBlur(face, (0, 0), 1.5) / 255), np.float32)


def _smoothstep(x: Floats) -> Floats:
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _shrunk(region: NDArray[np.bool_], by_px: float) -> Floats:
    """1 inside `region`, further than `by_px` from its edge; else 0."""
    side = 2 * max(1, round(by_px)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.erode(region.astype(np.uint8), kernel), np.float32)


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
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), 0.03 * tall) / 255, np.float32)


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
        return np.asarray(colours * known[..., None] + mean * (1 - known[..., None]), np.float32)
    small = ((width + 1) // 2, (height + 1) // 2)
    less = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    mixed = cv2.resize(colours * known[..., None], small, interpolation=cv2.INTER_AREA) / (less[..., None] + 1e-6)
    below = cv2.resize(fill(mixed, np.minimum(1, 4 * less)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(colours * known[..., None] + below * (1 - known[..., None]), np.float32)


def _fill_coarsely(colours: Floats, known: Floats) -> Floats:
    """`fill` at half the size, blurred a little everywhere: four times quicker."""
    height, width = known.shape
    small = ((width + 1) // 2, (height + 1) // 2)
    sure = (cv2.resize(known, small, interpolation=cv2.INTER_AREA) > 0.99).astype(np.float32)
    filled = fill(cv2.resize(colours, small, interpolation=cv2.INTER_AREA), sure)
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def continue_background(canvas: Floats, known: Floats) -> Floats:
    """Fills what is not known.

    Rows and columns go on straight beyond the border, so that walls and curtains do, ever smoother far from it.

    Args:
        canvas: (H, W, 3) float32.
        known: (H, W) float32, 1 = background, 0 = to be filled.

    Returns:
        (H, W, 3) float32 in [0, 255].
    """
    smooth = fill(canvas, known)
    y, x = np.nonzero(known < 1)
    if len(y) in (0, known.size):
        return smooth
    height, width = known.shape
    total = np.zeros((len(y), 3), np.float32)
    weights = np.full((len(y), 1), 1e-12, np.float32)
    nearest = np.full(len(y), np.inf, np.float32)
    length = 2 * round(0.008 * max(height, width)) + 1
    for border, axis, size in _borders(known):
        at, place = border[y, x], (y, x)[axis]
        gap = np.abs(place - at).astype(np.float32)
        gap[(at < 0) | (at >= size)] = np.inf
        kernel = (1, length) if axis == 0 else (length, 1)
        calm = cv2.blur(canvas * known[..., None], kernel) / np.maximum(cv2.blur(known, kernel), 1e-6)[..., None]
        at = at.clip(0, size - 1)
        weight = 1 / gap[:, None] ** 2
        total += weight * (calm[at, x] if axis == 0 else calm[y, at])
        weights += weight
        nearest = np.minimum(nearest, gap)
    reach = 0.12 * max(height, width)
    near = np.exp(-((nearest / reach) ** 2))[:, None] * (weights > 1e-11)
    filled = smooth.copy()
    filled[y, x] += near * (total / weights - filled[y, x])
    # Straight lines that meet at an angle are blended, the more so the further they have come.
    soft = cv2.GaussianBlur(filled, (0, 0), 0.01 * max(height, width))
    apart = cv2.distanceTransform((known < 1).astype(np.uint8), cv2.DIST_L2, 3)[..., None]
    filled += np.clip(apart / (0.5 * reach), 0, 1) * (soft - filled)
    return filled.clip(0, 255)


def _borders(known: Floats) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """For each of four directions: the nearest known pixel's index that way (< 0 or >= size: none), axis and size."""
    for axis in (0, 1):
        size = known.shape[axis]
        index = np.arange(size).reshape((-1, 1) if axis == 0 else (1, -1))
        yield np.maximum.accumulate(np.where(known >= 1, index, -1), axis), axis, size
        backwards = np.flip(np.where(known >= 1, index, size), axis)
        yield np.flip(np.minimum.accumulate(backwards, axis), axis), axis, size


def part_layers(
    canvas: Pixels, matte: Floats, beyond: Floats, margin_px: int, reach_px: float
) -> tuple[Pixels, Pixels]:
    """Person and background; neither holds the other's colours.

    Args:
        canvas: (H + 2 * margin, W + 2 * margin, 3) uint8 RGB.
        matte: (H + 2 * margin, W + 2 * margin) float32 in [0, 1].
        beyond: (H + 2 * margin, W + 2 * margin) float32, > 0 outside the photo.
        margin_px: how far the canvas reaches beyond the output.
        reach_px: how far around the person the photo is not trusted to be background.

    Returns:
        person: (H + 2 * margin, W + 2 * margin, 4) uint8 RGBA, colours multiplied by alpha; edge colours continue those
            inside.
        background: (H, W, 3) uint8 RGB, filled in behind the person.
    """
    photo = canvas.astype(np.float32)
    side = 2 * max(1, round(reach_px)) + 1
    hole = cv2.dilate((matte > 0.02).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    known = ((hole == 0) & (beyond <= 0)).astype(np.float32)
    window = np.s_[margin_px:-margin_px, margin_px:-margin_px]
    behind = continue_background(np.ascontiguousarray(photo[window]), np.ascontiguousarray(known[window]))
    inner = _fill_coarsely(photo, (matte > 0.95).astype(np.float32))
    alpha = matte[..., None]
    colours = inner + (photo - inner) * np.clip(2 * alpha - 1, 0, 1)
    person = np.concatenate([colours * alpha, 255 * alpha], -1)
    return person.round().clip(0, 255).astype(np.uint8), behind.round().astype(np.uint8)


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
        return np.asarray(cv2.GaussianBlur(filled, (0, 0), 0.025 * max(height, width)), np.uint8)
    picture, _ = decode_photo(background.image, what="background.image", error=InvalidConfigError)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(width, round(scale * picture.shape[1])), max(height, round(scale * picture.shape[0])))
    picture = cv2.resize(picture, size, interpolation=kind)
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])
