"""One piece of a person: vertices, how they are drawn, and what they hang on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.heads.raster import Material

Floats = NDArray[np.float64]
Triangles = NDArray[np.int32]

HEAD: Final = 1.0
TORSO: Final = 0.0


@dataclass(frozen=True, eq=False)
class Part:
    """A mesh in the pose of rest.

    Attributes:
        points: (n, 3) centimetres.
        triangles: (m, 3), counter-clockwise from outside.
        uv: (n, 2) in [0, 1].
        material: how it looks.
        head: (n,) how far each vertex follows the head, the rest the torso.
        jaw: (n,) how far each vertex follows the jaw.
    """

    points: Floats
    triangles: Triangles
    uv: Floats
    material: Material
    head: Floats
    jaw: Floats

    @classmethod
    def on_head(
        cls, points: Floats, triangles: Triangles, uv: Floats, material: Material, jaw: float | Floats = 0.0
    ) -> Part:
        """A part that rides on the skull, or on the jaw."""
        full = np.full(len(points), HEAD)
        return cls(points, triangles, uv, material, full, np.broadcast_to(np.asarray(jaw, np.float64), full.shape))


def grid(rows: int, columns: int, closed: bool = False) -> Triangles:
    """Triangles of a grid of rows × columns vertices; `closed` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = (r * columns + c).ravel(), (r * columns + (c + 1) % columns).ravel()
    return np.concatenate([np.stack([a, a + columns, b], 1), np.stack([b, a + columns, b + columns], 1)]).astype(
        np.int32
    )


def grid_uv(rows: int, columns: int) -> Floats:
    """(rows · columns, 2): columns across, rows down."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.stack([u, v], -1).reshape(-1, 2)


def opaque(rgb: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """(h, w, 4) uint8 from (h, w, 3) in [0, 1]."""
    solid = np.empty((*rgb.shape[:2], 4), np.uint8)
    solid[..., :3] = np.clip(255 * rgb, 0, 255)
    solid[..., 3] = 255
    return solid
