"""Glasses: two rims, a bridge and temples, made of thin tubes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.heads.identity import Identity
from training.heads.part import Part, grid, grid_uv, opaque
from training.heads.raster import Material

Floats = NDArray[np.float64]

SIDES = 5


def glasses(identity: Identity, rng: np.random.Generator) -> list[Part]:
    """Frames that sit on the nose and the ears."""
    face = identity.face
    thick = rng.uniform(0.07, 0.28)
    wide, tall, square = rng.uniform(2.1, 2.8), rng.uniform(1.5, 2.3), rng.uniform(2.0, 4.5)
    colour = rng.uniform(0.02, 0.25, 3) if rng.random() < 0.7 else rng.uniform(0.1, 0.85, 3)
    material = Material(opaque(np.broadcast_to(colour, (4, 4, 3))), gloss=float(rng.uniform(0.1, 0.7)), sharpness=5)
    z = max(float(face[[168, 6], 2].mean()) + 0.35, float(face[[27, 257, 52, 282], 2].max()) + 0.3)
    lines = []
    turn = np.linspace(0, 2 * np.pi, 41)
    for side, eye in ((-1.0, (33, 133)), (1.0, (263, 362))):
        centre = face[list(eye)].mean(0)
        cos, sin = np.cos(turn), np.sin(turn)
        x = centre[0] + side * 0.1 + wide * np.sign(cos) * np.abs(cos) ** (2 / square)
        y = centre[1] - 0.25 + tall * np.sign(sin) * np.abs(sin) ** (2 / square)
        lines.append(np.stack([x, y, z - 0.05 * np.abs(x)], 1))
        hinge = np.array([centre[0] + side * (wide + 0.1), centre[1] + 0.5, z - 0.3])
        ear = np.array([side * 7.9, face[234 if side < 0 else 454, 1] + 3.2, -8.5])
        lines.append(np.linspace(hinge, ear, 6))
    bridge = face[[133, 362]].mean(0)[1] + 0.15
    lines.append(
        np.stack([np.linspace(-1.1, 1.1, 9), bridge + 0.25 * np.cos(np.linspace(-1.5, 1.5, 9)), np.full(9, z)], 1)
    )
    return [_tube(line, thick, material) for line in lines]


def _tube(line: Floats, radius: float, material: Material) -> Part:
    """A tube around a line (k, 3)."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = np.cross(along, (0.1, 0.3, 1.0))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    other = np.cross(along, side)
    turn = np.arange(SIDES) / SIDES * 2 * np.pi
    points = line[:, None] + radius * (np.cos(turn)[:, None] * side[:, None] + np.sin(turn)[:, None] * other[:, None])
    rows = len(line)
    return Part.on_head(points.reshape(-1, 3), grid(rows, SIDES, closed=True), grid_uv(rows, SIDES), material)
