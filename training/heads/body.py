"""Everything of a person below and behind the face: skull, ears, neck, shoulders and clothes."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import OVAL
from training.heads.anatomy import HEAD_CENTRE
from training.heads.identity import Identity
from training.heads.noise import noise
from training.heads.part import Part, grid, grid_uv, opaque
from training.heads.raster import Material
from training.heads.skin import plain_skin

Floats = NDArray[np.float64]

RINGS: Final = 9
"""Rings of the skull, from the outline of the face to the back of the head."""


def skull(identity: Identity, rng: np.random.Generator) -> Floats:
    """(RINGS, 36, 3): from the face's outline around an ellipsoid to a point at the back."""
    outline = identity.face[OVAL] - HEAD_CENTRE
    radii = np.array([7.7, 10.6, 9.6]) * rng.uniform(0.95, 1.06, 3)
    back = np.array([0, 0.12, -1.0]) / np.linalg.norm((0.12, 1.0))
    length = np.linalg.norm(outline, axis=1)
    start = outline / length[:, None]
    angle = np.arccos(np.clip(start @ back, -1, 1))
    sideways = back - (start @ back)[:, None] * start
    sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
    rings = []
    for k in range(1, RINGS + 1):
        share = k / RINGS * 0.985
        turn = (angle * share)[:, None]
        unit = np.cos(turn) * start + np.sin(turn) * sideways
        below = np.where(unit[:, 1] < 0, 8.2, radii[1])
        reach = 1 / np.sqrt((unit[:, 0] / radii[0]) ** 2 + (unit[:, 1] / below) ** 2 + (unit[:, 2] / radii[2]) ** 2)
        blend = min(1.0, 1.8 * share)
        blend = blend * blend * (3 - 2 * blend)
        rings.append(HEAD_CENTRE + unit * (length * (1 - blend) + reach * blend)[:, None])
    return np.stack(rings)


def skull_triangles(first: int) -> NDArray[np.int32]:
    """Joins the outline of the face (`OVAL`) and the rings, whose vertices begin at index `first`."""
    rows = np.concatenate([OVAL[None], first + np.arange(RINGS * len(OVAL)).reshape(RINGS, -1)])
    flat = rows.reshape(-1).astype(np.int32)
    return np.asarray(flat[grid(RINGS + 1, len(OVAL), closed=True)][:, [0, 2, 1]], np.int32)


def ears(identity: Identity, rng: np.random.Generator) -> list[Part]:
    """Two shells at the sides of the head."""
    size, out = rng.uniform(0.85, 1.15), rng.uniform(0.25, 0.8)
    rows, columns = 7, 12
    polar, around = np.meshgrid(np.linspace(0, 1, rows), np.arange(columns) / columns * 2 * np.pi, indexing="ij")
    bowl = 0.55 * np.sin(np.pi * polar) - 0.25 * (polar < 0.3)
    material = plain_skin(identity, rng)
    made = []
    for side, temple in ((-1.0, 234), (1.0, 454)):
        tall = 3.1 * size * (1 + 0.12 * np.cos(around))
        y, depth = polar * tall * np.cos(around), polar * 1.75 * size * np.sin(around)
        # An ear leans outwards towards the back and a little backwards.
        x = side * (out * (0.6 - depth / 3) + bowl)
        centre = identity.face[temple] + (side * 0.15, 0.8, -2.2)
        points = np.stack([x, y, depth - 0.15 * y], -1).reshape(-1, 3) + centre
        triangles = grid(rows, columns, closed=True)
        triangles = triangles if side > 0 else triangles[:, [0, 2, 1]]
        made.append(Part.on_head(points, triangles, grid_uv(rows, columns), material))
    return made


def neck(identity: Identity, rng: np.random.Generator) -> Part:
    """A bent tube from under the jaw into the clothes."""
    rows, columns = 9, 28
    girth = rng.uniform(0.85, 1.12)
    down, around = np.meshgrid(np.linspace(0, 1, rows), np.arange(columns) / columns * 2 * np.pi, indexing="ij")
    radius_x = girth * (5.0 + 1.5 * down**3)
    radius_z = girth * (5.0 + 1.2 * down**3)
    points = np.stack(
        [radius_x * np.sin(around), -9.2 - 14.5 * down, -6.6 - 1.2 * down + radius_z * np.cos(around)], -1
    ).reshape(-1, 3)
    head = np.clip(1.0 - 1.15 * down.reshape(-1), 0, 1)
    return Part(
        points,
        grid(rows, columns, closed=True),
        grid_uv(rows, columns),
        plain_skin(identity, rng),
        head,
        np.zeros_like(head),
    )


def torso(rng: np.random.Generator) -> Part:
    """Shoulders and chest in clothes, with a neckline that goes down in front."""
    rows, columns = 16, 48
    broad = rng.uniform(0.88, 1.18)
    down, around = np.meshgrid(np.linspace(0, 1, rows), np.arange(columns) / columns * 2 * np.pi, indexing="ij")
    slope = np.clip(down / 0.35, 0, 1)
    slope = slope * slope * (3 - 2 * slope)
    radius_x = 6.4 + broad * 15.5 * slope
    radius_z = 6.0 + 5.0 * slope
    front = np.clip(np.cos(around), 0, 1)
    dip = rng.uniform(0, 6) * front**2 * (1 - slope)
    y = -17.5 - 5.5 * slope - 24 * np.clip(down - 0.3, 0, 1) + rng.uniform(-0.5, 2.0) * (1 - slope) - dip
    points = np.stack([radius_x * np.sin(around), y, -8.2 + radius_z * np.cos(around)], -1).reshape(-1, 3)
    loose = np.zeros(len(points))
    material = Material(_cloth(rng), gloss=0.03, sharpness=3, bump=0.004)
    return Part(points, grid(rows, columns, closed=True), grid_uv(rows, columns), material, loose, loose)


def _cloth(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Plain, striped, checked, dotted or patterned cloth; 256 × 512 texels."""
    height, width = 256, 512
    base, second = rng.uniform(0.03, 0.9, 3), rng.uniform(0.03, 0.95, 3)
    if rng.random() < 0.5:
        base = base.mean() + 0.25 * (base - base.mean())
    y, x = np.mgrid[:height, :width]
    kind, pitch = rng.integers(6), rng.uniform(6, 40)
    if kind == 1:
        mask = (np.sin(2 * np.pi * y / pitch) > rng.uniform(-0.5, 0.8)).astype(np.float64)
    elif kind == 2:
        mask = 0.5 * (np.sin(2 * np.pi * y / pitch) > 0.3) + 0.5 * (np.sin(2 * np.pi * x / pitch) > 0.3)
    elif kind == 3:
        mask = ((x % pitch - pitch / 2) ** 2 + (y % pitch - pitch / 2) ** 2 < (0.28 * pitch) ** 2).astype(np.float64)
    elif kind == 4:
        mask = (noise(rng, height, width, zoom=0.4) > rng.uniform(-0.3, 0.9)).astype(np.float64)
    else:
        mask = np.zeros((height, width))
    mask = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None]
    folds = (
        1
        + 0.10 * noise(rng, height, width, zoom=0.7)[..., None]
        + 0.04 * rng.random() * noise(rng, height, width, detail=True)[..., None]
    )
    return opaque(np.clip((base * (1 - mask) + second * mask) * folds, 0, 1))
