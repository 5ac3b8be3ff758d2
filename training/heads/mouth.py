"""What an open mouth shows: teeth, gums, tongue and cavity.

Teeth stand in a fixed relation to the skull and hardly vary: nobody can know from a portrait with closed lips where
they are, and what cannot be known is averaged by a network into grey.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.heads.anatomy import LIPS
from training.heads.identity import Identity
from training.heads.noise import noise
from training.heads.part import Part, grid, grid_uv, opaque
from training.heads.raster import Material

Floats = NDArray[np.float64]

TEETH: Final = 12
ARCH_COLUMNS: Final = 49
_WIDTHS: Final = np.array((0.8, 0.85, 0.9, 0.95, 0.85, 1.1, 1.1, 0.85, 0.95, 0.9, 0.85, 0.8))
"""Relative widths of the upper teeth from right to left; the lower ones are more even."""
LIT: Final = 0.76
"""How much of the light reaches the biting edges; lips shade the rest. In pictures of people the brightest twentieth of
an open mouth is 0.9 to 1.3 times as bright as the skin."""


def teeth(identity: Identity, rng: np.random.Generator) -> list[Part]:
    """Upper and lower arch with their gums."""
    face = identity.face
    mouth = face[LIPS].mean(0)
    half = 0.92 * float(np.ptp(face[[61, 291], 0]) / 2) + 0.1
    line = float(face[[13, 14], 1].mean())
    front = float(face[[13, 14], 2].mean()) - 0.75
    texture = _arch_texture(identity, rng, upper=True), _arch_texture(identity, rng, upper=False)
    made = []
    for upper in (True, False):
        edge = line - 0.18 + rng.normal(0, 0.03) if upper else line - 0.32 + rng.normal(0, 0.03)
        tall = 1.7 if upper else -1.6
        points = _arch(half * (1.0 if upper else 0.92), edge, tall, front - (0.0 if upper else 0.22), mouth[0])
        triangles = grid(2, ARCH_COLUMNS)
        material = Material(
            texture[0 if upper else 1], gloss=0.12, sharpness=5, ambient=0.95, wrap=(0.5, 0.5, 0.5), shadows=False
        )
        made.append(Part.on_head(points, triangles, _arch_uv(), material, jaw=0.0 if upper else 1.0))
    return made


def tongue_and_cavity(identity: Identity, rng: np.random.Generator) -> list[Part]:
    """The tongue, which rides on the jaw, and the dark behind it."""
    face = identity.face
    line, front = float(face[[13, 14], 1].mean()), float(face[[13, 14], 2].mean())
    half = float(np.ptp(face[[61, 291], 0]) / 2)
    flesh = np.array((0.64, 0.40, 0.40)) * rng.uniform(0.85, 1.1)
    shade = 1 + 0.06 * noise(rng, 32, 32)[..., None]
    tongue = Part.on_head(
        _ellipsoid((0, line - rng.uniform(0.85, 1.1), front - 2.7), (0.7 * half, 0.55, 2.1), 9, 16),
        grid(9, 16, closed=True),
        grid_uv(9, 16),
        Material(
            opaque(np.clip(flesh * shade, 0, 1)),
            gloss=0.1,
            sharpness=4,
            ambient=0.75,
            wrap=(0.4, 0.3, 0.3),
            shadows=False,
        ),
        jaw=0.9,
    )
    dark = np.linspace(0.11, 0.03, 8)[:, None, None] * np.array((1.0, 0.35, 0.35)) * np.ones((8, 8, 1))
    # Only the far wall of the cavity is drawn: its triangles are turned inside out.
    inside = grid(9, 16, closed=True)[:, [0, 2, 1]]
    cavity = Part.on_head(
        _ellipsoid((0, line - 0.6, front - 3.4), (1.15 * half, 2.6, 2.7), 9, 16),
        inside,
        grid_uv(9, 16),
        Material(opaque(np.sqrt(dark)), gloss=0, ambient=0.8, one_sided=True, shadows=False),
        jaw=0.5,
    )
    return [tongue, cavity]


def _arch(half: float, edge: float, tall: float, front: float, middle: float) -> Floats:
    """(2 · columns, 3): a parabola of teeth, biting edges first."""
    s = np.linspace(-1, 1, ARCH_COLUMNS)
    x, z = middle + half * np.sin(1.25 * s) / np.sin(1.25), front - 2.6 * s**2
    biting = np.stack([x, edge + np.sign(tall) * 0.16 * s**2, z], 1)
    gums = np.stack([x, np.full_like(x, edge + tall), z - 0.18], 1)
    return np.concatenate([biting, gums])


def _arch_uv() -> Floats:
    u = np.linspace(0, 1, ARCH_COLUMNS)
    return np.concatenate([np.stack([u, np.full_like(u, 0.0)], 1), np.stack([u, np.ones_like(u)], 1)])


def _arch_texture(identity: Identity, rng: np.random.Generator, upper: bool) -> NDArray[np.uint8]:
    """Teeth side by side: rounded biting edges, fine dark gaps, gums above them; 48 × 288 texels."""
    height, width = 48, 288
    widths = _WIDTHS if upper else np.full(TEETH, 0.92)
    borders = np.concatenate([[0], np.cumsum(widths) / widths.sum()]) * width
    column = np.arange(width)
    which = np.clip(np.searchsorted(borders, column, side="right") - 1, 0, TEETH - 1)
    across = (column + 0.5 - borders[which]) / (borders[which + 1] - borders[which])
    row = (np.arange(height) / height)[:, None]
    colour = identity.teeth * (1 + 0.015 * rng.normal(size=(TEETH, 1)))
    rgb = np.broadcast_to(colour[which], (height, width, 3)).copy()
    off_centre = np.abs(2 * across - 1)
    rgb *= (1 - 0.35 * np.clip((off_centre - 0.86) / 0.14, 0, 1) ** 2)[None, :, None]
    towards_back = np.abs(2 * column / width - 1)
    rgb *= (1 - 0.42 * towards_back**2)[None, :, None]
    rgb *= (LIT - 0.3 * row)[..., None]
    crown = (0.56 if upper else 0.5) - 0.05 * off_centre**2
    gum_colour = np.array((0.72, 0.40, 0.40)) * np.clip(identity.skin.mean() * 1.3, 0.5, 1.0)
    gum = np.clip((row - crown[None]) / 0.05, 0, 1)[..., None]
    texture = opaque(rgb * (1 - gum) + gum_colour * gum)
    rounded = 0.07 * np.clip((off_centre - 0.55) / 0.45, 0, 1) ** 2
    texture[..., 3] = np.where(row < rounded[None], 0, 255)
    return texture


def _ellipsoid(centre: object, radii: object, rows: int, columns: int) -> Floats:
    """(rows · columns, 3): from pole to pole along y."""
    polar, around = np.meshgrid(
        np.linspace(0.02, np.pi - 0.02, rows), np.arange(columns) / columns * 2 * np.pi, indexing="ij"
    )
    unit = np.stack([np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)], -1)
    return np.asarray(unit.reshape(-1, 3) * np.asarray(radii) + np.asarray(centre))
