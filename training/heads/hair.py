"""Hair: a shell around the skull that ends at a ragged hairline, and what hangs down from it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.heads.anatomy import HEAD_CENTRE
from training.heads.identity import Identity
from training.heads.noise import noise, streaks
from training.heads.part import Part, grid, grid_uv, opaque
from training.heads.raster import Material

Floats = NDArray[np.float64]

ROWS, COLUMNS = 30, 56
_TEXTURE: Final = (256, 512)
_THICKNESS: Final = {"short": (0.3, 1.2), "medium": (0.6, 1.8), "long": (0.5, 1.6), "curly": (1.2, 4.0)}


def hair(identity: Identity, head: Floats, rng: np.random.Generator) -> list[Part]:
    """The hair of a head whose surface passes through `head` (n, 3); nothing for some styles."""
    if identity.hair_style not in _THICKNESS:
        return []
    thickness = rng.uniform(*_THICKNESS[identity.hair_style])
    parts = [_cap(identity, head, thickness, rng)]
    if identity.hair_style == "long" or (identity.hair_style == "medium" and rng.random() < 0.7):
        parts.append(_curtain(identity, thickness, rng))
    return parts


def _material(identity: Identity, alpha: NDArray[np.float32], rng: np.random.Generator) -> Material:
    height, width = alpha.shape
    strand = streaks(rng, height, width, 10.0)
    tone = 1 + 0.28 * strand[..., None] + 0.12 * noise(rng, height, width)[..., None]
    texture = opaque(np.clip(identity.hair * np.clip(tone, 0.25, 2.2), 0, 1))
    texture[..., 3] = np.where(alpha > 0.5, 255, 0)
    return Material(texture, gloss=float(rng.uniform(0.02, 0.12)), sharpness=4, bump=0.01, one_sided=False)


def _cap(identity: Identity, head: Floats, thickness: float, rng: np.random.Generator) -> Part:
    around = (np.arange(COLUMNS) / (COLUMNS - 1) * 2 - 1) * np.pi
    up = np.linspace(np.pi / 2, -0.36 * np.pi, ROWS)
    polar, angle = np.meshgrid(up, around, indexing="ij")
    unit = np.stack([np.cos(polar) * np.sin(angle), np.sin(polar), np.cos(polar) * np.cos(angle)], -1).reshape(-1, 3)
    away = head - HEAD_CENTRE
    radius = np.linalg.norm(away, axis=1)
    near = np.exp(160 * (unit @ (away / radius[:, None]).T - 1))
    surface = (near * radius).sum(1) / (near.sum(1) + 1e-12)
    lumps = cv2.resize(noise(rng, ROWS, COLUMNS, zoom=0.25), (COLUMNS, ROWS)).reshape(-1)
    bumpy = 0.4 if identity.hair_style == "curly" else 0.18
    volume = thickness * (1 + bumpy * lumps) + np.clip(unit[:, 1], 0, 1) * rng.uniform(0, 1.4)
    points = HEAD_CENTRE + unit * (surface + 0.12 + volume)[:, None]
    return Part.on_head(points, grid(ROWS, COLUMNS), grid_uv(ROWS, COLUMNS), _material(identity, _hairline(rng), rng))


def _hairline(rng: np.random.Generator) -> NDArray[np.float32]:
    """Where the cap is hair: above a line over the forehead, in front of and behind the ears down to the neck."""
    height, width = _TEXTURE
    angle = np.abs(np.linspace(-np.pi, np.pi, width))
    polar = np.linspace(np.pi / 2, -0.36 * np.pi, height)[:, None]
    forehead = rng.uniform(0.46, 0.68)
    if rng.random() < 0.3:
        forehead = rng.uniform(0.2, 0.42)
    sides, nape = rng.uniform(-0.12, 0.1), rng.uniform(-1.1, -0.6)
    parting = rng.uniform(-1, 1) * rng.uniform(0, 0.16)
    across = np.linspace(-np.pi, np.pi, width)
    turn = np.clip((angle - 0.85) / 0.5, 0, 1)
    behind = np.clip((angle - 1.75) / 0.35, 0, 1)
    line = forehead + parting * np.sin(across) * (1 - turn)
    line = line * (1 - turn) + sides * turn
    line = line * (1 - behind) + nape * behind
    ragged = 0.10 * streaks(rng, 1, width, 1.0)[0] * rng.uniform(0.2, 1.0)
    return np.asarray(1 / (1 + np.exp(-40 * (polar - line - ragged))), np.float32)


def _curtain(identity: Identity, thickness: float, rng: np.random.Generator) -> Part:
    rows, columns = 12, 48
    open_front = np.radians(rng.uniform(48, 82))
    length = rng.uniform(9, 26) if identity.hair_style == "long" else rng.uniform(3, 8)
    down, angle = np.meshgrid(
        np.linspace(0, 1, rows), np.linspace(open_front, 2 * np.pi - open_front, columns), indexing="ij"
    )
    flare = 1 + rng.uniform(-0.06, 0.18) * down
    waves = 0.5 * cv2.resize(noise(rng, rows, columns, zoom=0.3), (columns, rows)) * down
    x = np.sin(angle) * ((8.0 + 0.7 * thickness) * flare + waves)
    z = -7.2 + np.cos(angle) * ((8.4 + 0.6 * thickness) * flare + waves)
    points = np.stack([x, 2.5 - (5 + length) * down, z], -1).reshape(-1, 3)
    height, width = _TEXTURE
    tips = 1.02 - 0.25 * np.abs(streaks(rng, 1, width, 1.0)[0])
    alpha = (np.linspace(0, 1, height)[:, None] < tips[None]).astype(np.float32)
    ride = np.clip(1.15 - down.reshape(-1) * min(1.0, length / 16), 0, 1)
    return Part(
        points, grid(rows, columns), grid_uv(rows, columns), _material(identity, alpha, rng), ride, np.zeros_like(ride)
    )
