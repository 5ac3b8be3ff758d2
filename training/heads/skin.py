"""The skin of the head: its texture, and where on it everything lies.

The texture unrolls the head around the vertical axis; the face takes the larger part of its width.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, LIPS_INNER, LIPS_OUTER
from training.heads.anatomy import HEAD_CENTRE, LOWER_INNER, SKIN, UPPER_INNER, lids
from training.heads.identity import Identity
from training.heads.noise import noise, streaks
from training.heads.part import opaque
from training.heads.raster import Material

Floats = NDArray[np.float64]
Field = NDArray[np.float32]

HEIGHT, WIDTH = 512, 640
TOP_CM, BOTTOM_CM = 11.0, -15.0
_SHIFT: Final = 4
_CREASES: Final = ((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414))
_BAGS: Final = ((226, 31, 228, 229, 230, 231, 232, 233), (446, 261, 448, 449, 450, 451, 452, 453))
_FOLDS: Final = ((129, 203, 206, 216, 212), (358, 423, 426, 436, 432))
_BEARD: Final = (
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
    447, 345, 411, 427, 436, 410, 327, 2, 98, 186, 216, 207, 187, 116, 227,
)  # fmt: skip
_MOUSTACHE: Final = (98, 2, 327, 410, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61, 186)


def unroll(points: Floats) -> Floats:
    """(N, 2) texture coordinates of points on a head."""
    angle = np.arctan2(points[:, 0], points[:, 2] - HEAD_CENTRE[2]) / np.pi
    u = 0.5 + 0.5 * angle * (1.8 - 0.8 * np.abs(angle))
    return np.stack([u, (TOP_CM - points[:, 1]) / (TOP_CM - BOTTOM_CM)], 1)


@cache
def _places() -> Floats:
    """(468, 2) texel coordinates of the average face; every face uses them."""
    return unroll(SKIN) * (WIDTH, HEIGHT)


def face_uv() -> Floats:
    """(468, 2) texture coordinates of the face's points."""
    return _places() / (WIDTH, HEIGHT)


class Mask(NamedTuple):
    """Where something is painted: `values` in [0, 1] within a window of the texture, 0 elsewhere."""

    window: tuple[slice, slice]
    values: Field

    @classmethod
    def of(cls, field: Field) -> Mask:
        """Cuts away the empty border."""
        rows, columns = np.flatnonzero(field.max(1) > 1e-3), np.flatnonzero(field.max(0) > 1e-3)
        if not len(rows):
            return cls((slice(0, 0), slice(0, 0)), field[:0, :0])
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return cls(window, np.ascontiguousarray(field[window]))

    def times(self, field: Field) -> Mask:
        """Weakened by a field over the whole texture."""
        return Mask(self.window, self.values * field[self.window])

    def full(self) -> Field:
        """Over the whole texture."""
        field = np.zeros((HEIGHT, WIDTH), np.float32)
        field[self.window] = self.values
        return field


@cache
def _area(indices: tuple[int, ...], blur: float, grow: int = 0) -> Mask:
    """A filled outline in [0, 1]."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [_fixed(indices)], 255, cv2.LINE_AA, _SHIFT)
    if grow:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1,) * 2)
        mask = cv2.dilate(mask, kernel) if grow > 0 else cv2.erode(mask, kernel)
    return _soft(mask, blur)


@cache
def _line(indices: tuple[int, ...], blur: float, thickness: int = 2) -> Mask:
    """A line in [0, 1]."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.polylines(mask, [_fixed(indices)], False, 255, thickness, cv2.LINE_AA, _SHIFT)
    return _soft(mask, blur)


@cache
def _spot(index: int, radius: float) -> Mask:
    """A soft disc around a point of the face; radius in texels."""
    x, y = _places()[index]
    distance = (np.arange(WIDTH) - x) ** 2 + ((np.arange(HEIGHT) - y) ** 2)[:, None]
    return Mask.of(np.exp(-distance / (2 * radius**2)).astype(np.float32))


def _fixed(indices: tuple[int, ...]) -> NDArray[np.int32]:
    return np.round(_places()[list(indices)] * (1 << _SHIFT)).astype(np.int32)


def _soft(mask: NDArray[np.uint8], blur: float) -> Mask:
    return Mask.of(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), blur))


def _tuple(indices: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(i) for i in indices)


class _Canvas:
    """A picture that masks are painted on."""

    def __init__(self, colour: Floats) -> None:
        self.rgb = np.empty((HEIGHT, WIDTH, 3), np.float32)
        self.rgb[:] = colour

    def tint(self, mask: Mask, colour: Floats, amount: float) -> None:
        """Mixes a colour in."""
        part = self.rgb[mask.window]
        part += np.float32(amount) * mask.values[..., None] * (np.asarray(colour, np.float32) - part)

    def darken(self, mask: Mask, amount: float) -> None:
        """Multiplies by 1 − amount where the mask is 1."""
        self.rgb[mask.window] *= 1 - np.float32(amount) * mask.values[..., None]


def paint_skin(identity: Identity, rng: np.random.Generator) -> Material:
    """The texture of face and head."""
    canvas = _Canvas(identity.skin)
    _complexion(canvas, identity, rng)
    _eyes(canvas, identity, rng)
    _mouth(canvas, identity, rng)
    _hairs(canvas, identity, rng)
    return Material(
        opaque(canvas.rgb),
        gloss=float(rng.uniform(0.02, 0.14)),
        sharpness=int(rng.integers(3, 6)),
        bump=float(rng.uniform(0, 0.008)),
        wrap=(0.32, 0.2, 0.15),
    )


def plain_skin(identity: Identity, rng: np.random.Generator) -> Material:
    """Skin of neck and ears."""
    shade = 1 + 0.05 * noise(rng, 64, 64)[..., None] + 0.02 * noise(rng, 64, 64, detail=True)[..., None]
    texture = opaque(identity.skin * shade)
    return Material(texture, gloss=0.04, sharpness=4, wrap=(0.32, 0.2, 0.15))


def _complexion(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    blotchy = noise(rng, HEIGHT, WIDTH)
    grain = noise(rng, HEIGHT, WIDTH, detail=True, zoom=0.7)
    uneven = np.float32(rng.uniform(0.01, 0.05)) * blotchy + np.float32(rng.uniform(0.005, 0.035)) * grain
    canvas.rgb *= 1 + uneven[..., None]
    blush = identity.skin * (1.02, 0.72, 0.72)
    for index, radius, most in ((205, 26, 0.5), (425, 26, 0.5), (4, 12, 0.4), (50, 18, 0.3), (280, 18, 0.3)):
        canvas.tint(_spot(index, radius), blush, rng.uniform(0, most))
    for fold in _FOLDS:
        canvas.darken(_line(fold, 2.5, 3), 0.05 + 0.3 * identity.age * rng.random())
    for bag in _BAGS:
        canvas.darken(_line(bag, 3.0, 4), 0.25 * identity.age * rng.random())
    for index in (98, 327):
        canvas.darken(_line((2, 97 if index == 98 else 326, index), 2.0, 4), rng.uniform(0.3, 0.6))
        canvas.darken(_line((index, 64 if index == 98 else 294), 2.0, 3), rng.uniform(0.1, 0.3))
    for index in (97, 326):
        canvas.darken(_spot(index, 3.5), rng.uniform(0.55, 0.85))
    if identity.age > 0.4:
        for y in rng.uniform(0.24, 0.36, 3):
            row = int(y * HEIGHT)
            wave = (2 * np.sin(np.linspace(0, 6, 200)) + row).astype(int)
            mask = np.zeros((HEIGHT, WIDTH), np.float32)
            mask[wave, np.arange(200) + WIDTH // 2 - 100] = 1
            canvas.darken(Mask.of(cv2.GaussianBlur(mask, (0, 0), 1.6) * 4), 0.25 * identity.age * rng.random())
    freckles = rng.random() < 0.2
    count = int(rng.integers(60, 240)) if freckles else int(rng.integers(0, 6))
    spots = np.zeros((HEIGHT, WIDTH), np.float32)
    xs = (WIDTH / 2 + rng.normal(0, 90, count)).clip(4, WIDTH - 5).astype(int)
    ys = (0.62 * HEIGHT + rng.normal(0, 60, count)).clip(4, HEIGHT - 5).astype(int)
    for x, y in zip(xs, ys, strict=True):
        cv2.circle(spots, (int(x), int(y)), int(rng.integers(1, 3)), float(rng.uniform(0.3, 1)), -1, cv2.LINE_AA)
    canvas.darken(Mask.of(cv2.GaussianBlur(spots, (0, 0), 0.8)), 0.25 if freckles else 0.5)


def _eyes(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    crease, shadow_colour = rng.uniform(0.02, 0.22), identity.skin * (0.7, 0.6, 0.6)
    if identity.make_up:
        shadow_colour = identity.skin * 0.5 + 0.5 * rng.uniform(0.1, 0.8, 3)
    for eye, fold in zip((EYE_RIGHT, EYE_LEFT), _CREASES, strict=True):
        upper, lower = (_tuple(part) for part in lids(eye))
        canvas.tint(_area((*upper, *fold[::-1]), 3.0), shadow_colour, 0.15 + 0.5 * identity.make_up * rng.random())
        canvas.darken(_area(_tuple(eye), 6.0, 5), rng.uniform(0.0, 0.18))
        canvas.darken(_line(fold, 1.5, 2), crease)
        thick = 4 if identity.make_up > 0.5 else 3
        canvas.darken(_line(upper, 0.7, thick + 1), rng.uniform(0.8, 0.97))
        canvas.darken(_line(lower, 0.8, 2), rng.uniform(0.35, 0.65))


def _mouth(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    outline = _area(_tuple(LIPS_OUTER), 1.6)
    canvas.tint(outline, identity.lips, rng.uniform(0.6, 1.0))
    wrinkles = noise(rng, HEIGHT, WIDTH, detail=True, zoom=0.5)
    canvas.darken(outline.times(np.clip(wrinkles, 0, 2)), 0.06)
    for part in (UPPER_INNER, LOWER_INNER):
        canvas.darken(_line(_tuple(part), 1.2, 2), rng.uniform(0.25, 0.55))
    canvas.tint(_area(_tuple(LIPS_INNER), 1.5), identity.lips * 0.5, 0.8)


def _hairs(canvas: _Canvas, identity: Identity, rng: np.random.Generator) -> None:
    strand = streaks(rng, HEIGHT, WIDTH, 5.0)
    brow_colour = np.clip(identity.hair * 0.75, 0.02, 0.8)
    grow, strength = int(rng.integers(-1, 4)), rng.uniform(0.5, 0.95)
    for brow in (BROW_RIGHT, BROW_LEFT):
        canvas.tint(_area(_tuple(brow), 1.6, grow).times(np.clip(0.85 + 0.35 * strand, 0, 1)), brow_colour, strength)
    if identity.beard:
        beard, moustache = _area(_BEARD, 5.0).full(), _area(_MOUSTACHE, 3.0).full()
        if rng.random() < 0.4:
            beard = beard * _spot(152, 40).full()
        if rng.random() < 0.75:
            beard = np.maximum(beard, moustache)
        hairs = np.clip(0.5 + 0.6 * strand + (identity.beard - 0.4), 0, 1) * (
            1 - _area(_tuple(LIPS_OUTER), 1.5, 1).full()
        )
        canvas.tint(Mask.of(beard * hairs), brow_colour, 0.25 + 0.7 * identity.beard)
    stubble = noise(rng, HEIGHT, WIDTH, detail=True, zoom=0.5)
    if identity.hair_style == "buzz":
        scalp = np.clip((0.26 - np.linspace(0, 1, HEIGHT)) * 12, 0, 1).astype(np.float32)[:, None]
        canvas.tint(Mask.of(scalp * np.clip(0.7 + 0.3 * stubble, 0, 1)), identity.hair, 0.7)
