"""Eyeballs: what lies between the lids, and where the iris landmarks are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT
from training.heads.identity import Identity
from training.heads.part import grid, opaque
from training.heads.raster import Material

Floats = NDArray[np.float64]

RINGS, SPOKES = 12, 28
IRIS_SHARE: Final = 0.54
"""Radius of the iris on the eyeball: sine of the angle from the pole. Unit: eyeball radius."""
REACH: Final = np.radians(78)
"""How far the drawn cap of the eyeball goes around."""


@dataclass(frozen=True, eq=False)
class Eyeball:
    """One eye at rest, looking ahead.

    Attributes:
        centre: (3,) centimetres.
        radius: centimetres.
        points: (n, 3) of its cap.
        rim: (5, 3) the iris landmarks: centre, then four points on the rim.
    """

    centre: Floats
    radius: float
    points: Floats
    rim: Floats

    def looking(self, right_rad: float, up_rad: float) -> tuple[Floats, Floats]:
        """Cap (n, 3) and iris landmarks (5, 3), turned; to the subject's left and up are positive."""
        a, b = right_rad, -up_rad
        across = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        upward = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        turn = across @ upward
        return (self.points - self.centre) @ turn.T + self.centre, (self.rim - self.centre) @ turn.T + self.centre


def eyeballs(identity: Identity) -> tuple[Eyeball, Eyeball]:
    """The right and the left eye."""
    face, made = identity.face, []
    for eye, iris in ((EYE_RIGHT, 468), (EYE_LEFT, 473)):
        corners = face[eye[[0, 8]]]
        radius = 0.40 * float(np.linalg.norm(corners[0] - corners[1]))
        lid_z = float(face[eye[[4, 12]], 2].mean())
        centre = np.array([corners[:, 0].mean(), face[eye, 1].mean(), lid_z - 0.06 - radius])
        polar, around = np.meshgrid(np.linspace(0, REACH, RINGS), np.arange(SPOKES) / SPOKES * 2 * np.pi, indexing="ij")
        unit = np.stack([np.sin(polar) * np.sin(around), np.sin(polar) * np.cos(around), np.cos(polar)], -1)
        out = np.sqrt(1 - IRIS_SHARE**2)
        # MediaPipe's order around the iris: towards +x, up, towards −x, down.
        rim = np.array(
            [(0, 0, 1), (IRIS_SHARE, 0, out), (0, IRIS_SHARE, out), (-IRIS_SHARE, 0, out), (0, -IRIS_SHARE, out)]
        )
        assert iris + 5 <= len(face)
        made.append(Eyeball(centre, radius, unit.reshape(-1, 3) * radius + centre, rim * radius + centre))
    return made[0], made[1]


def eye_mesh() -> tuple[NDArray[np.int32], Floats]:
    """Triangles and texture coordinates of a cap."""
    v, u = np.meshgrid(np.linspace(0, 1, RINGS), np.linspace(0, 1, SPOKES), indexing="ij")
    # The first column closes the last: the texture does not change around the pole except for fibres.
    return grid(RINGS, SPOKES, closed=True)[:, [0, 2, 1]], np.stack([u, v], -1).reshape(-1, 2)


def eye_material(identity: Identity, rng: np.random.Generator) -> Material:
    """Pupil, iris with fibres and a dark rim, sclera that reddens to the side; rows go from the pole outwards."""
    height, width = 128, 96
    angle = (np.arange(height) + 0.5) / height * REACH
    r = np.sin(np.minimum(angle, np.pi / 2)) / IRIS_SHARE
    fibres = rng.normal(size=(1, width))
    fibres = (fibres + np.roll(fibres, 1, 1)) / 1.6
    r = np.broadcast_to(r[:, None], (height, width))
    sclera = np.array((0.93, 0.91, 0.89)) * rng.uniform(0.9, 1.02)
    rgb = sclera - np.clip((angle[:, None] - 0.8) / 0.6, 0, 1)[..., None] * (0.05, 0.2, 0.2)
    rgb = np.broadcast_to(rgb, (height, width, 3)).copy()
    shade = (0.75 + 0.45 * r + 0.14 * fibres * np.clip(r, 0, 1)) * (1 - 0.55 * np.clip((r - 0.82) / 0.18, 0, 1))
    iris = np.clip(shade[..., None] * identity.iris, 0, 1)
    inside = np.clip((1.0 - r) / 0.05, 0, 1)[..., None]
    rgb = rgb * (1 - inside) + iris * inside
    pupil = np.clip((rng.uniform(0.32, 0.5) - r) / 0.06, 0, 1)[..., None]
    rgb = rgb * (1 - pupil) + 0.02 * pupil
    return Material(opaque(rgb), gloss=0.55, sharpness=7, ambient=0.85, wrap=(0.3, 0.3, 0.3))
