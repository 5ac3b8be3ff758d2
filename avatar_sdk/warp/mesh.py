"""Where every part of the photo goes.

The face follows its landmarks, the rest of the head moves rigidly in three dimensions, the body follows the head or the
tracked shoulders, and between them everything bends smoothly. The face mesh is surrounded by rings of vertices, one
vertex per ring and oval landmark, out to beyond the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.motion.shape import FaceShape
from avatar_sdk.topology import (
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    MESH_LANDMARKS,
    OVAL,
    TRIANGLES,
)
from avatar_sdk.warp.iris import IRIS_VERTICES, eye_triangles, iris_vertices

Floats = NDArray[np.float32]

SPOKES: Final = len(OVAL)
RINGS: Final = np.array([1.05, 1.11, 1.19, 1.29, 1.42, 1.58, 1.8, 2.1, 2.6, 3.4, 5.0, 9.0], np.float32)
"""Size of each ring. Unit: the face oval."""
EYES: Final = ((EYE_RIGHT, IRIS_RIGHT), (EYE_LEFT, IRIS_LEFT))
FIRST_IRIS: Final = MESH_LANDMARKS
FIRST_RING: Final = MESH_LANDMARKS + 2 * IRIS_VERTICES


@dataclass(frozen=True)
class MeshConfig:
    """How what surrounds the face moves. Lengths in face widths unless said otherwise.

    Attributes:
        depth: how far behind the oval's own depth the outline of the head lies: above the face, below it. The neck lies
            deeper than the hair.
        depth_reach: at which distance from the oval it lies there.
        neck_reach: distance below the face at which the head's motion has faded out.
        side_reach: the same beside and above.
        expression_reach: how far the oval's own movement, a falling jaw, spreads.
        body_travel: how much of the neck's movement an untracked body follows. Unit: 1.
        body_scale: how much of the head's change of size it follows. Unit: 1.
    """

    depth: tuple[float, float] = (0.2, 0.46)
    depth_reach: float = 0.15
    neck_reach: tuple[float, float] = (0.05, 0.75)
    side_reach: tuple[float, float] = (0.8, 1.8)
    expression_reach: float = 0.15
    body_travel: float = 0.3
    body_scale: float = 0.3


class Mesh:
    """One portrait's vertices and triangles, and how they move.

    Attributes:
        source: (V, 2) float32, vertices in output pixels of the portrait.
        triangles: (T, 3) int32.
    """

    def __init__(self, landmarks: Floats, config: MeshConfig | None = None) -> None:
        """`landmarks` is (478, 3) in output pixels."""
        self.config = config = config or MeshConfig()
        self.landmarks = landmarks
        shape = FaceShape.of(landmarks)
        self.width = width = shape.width
        self.axes = axes = shape.axes.astype(np.float32)
        self.neck = shape.neck
        oval = landmarks[OVAL]
        centre = oval.mean(0)
        self._rings = rings = _ring_points(oval, centre)
        flat = rings.reshape(-1, 3)
        apart = np.linalg.norm(rings[..., :2] - oval[None, :, :2], axis=-1).reshape(-1) / width
        # Depth: behind the oval, most of it within a short way, as cheeks and jaw curve back.
        height = np.abs(oval[:, 1] - centre[1]).max()
        above = ((centre[1] - oval[:, 1]) / height * 1.4 + 0.5).clip(0, 1)
        behind = config.depth[1] + (config.depth[0] - config.depth[1]) * above
        back = (apart.reshape(len(RINGS), SPOKES) / config.depth_reach).clip(0, 1)
        depth = 0.9 * oval[:, 2] + 0.1 * centre[2] + width * behind * back
        flat[:, 2] = depth.reshape(-1)
        # How much of the head's motion each vertex follows.
        down = (landmarks[CHIN] - centre) @ axes[:, 1]
        low = np.tile(_smoothstep(((oval - centre) @ axes[:, 1] / down - 0.1) / 0.6), len(RINGS))
        reach = np.array(config.side_reach)[:, None] * (1 - low) + np.array(config.neck_reach)[:, None] * low
        self._follow = (1 - _smoothstep((apart - reach[0]) / (reach[1] - reach[0]))).astype(np.float32)[:, None]
        self._spread = _spread(apart.reshape(len(RINGS), SPOKES) / config.expression_reach)
        self._shoulders_x = landmarks[CHIN, 0] + np.array([-0.9, 0.9], np.float32) * width
        self.source = np.concatenate([landmarks[:MESH_LANDMARKS], self._irises(landmarks), flat])[:, :2].copy()
        self.triangles = _triangles()

    def move(self, motion: Motion) -> Floats:
        """(V, 3) float32, the vertices in output pixels of the frame that `motion` describes."""
        rings = self._rings.reshape(-1, 3)
        oval = self.landmarks[OVAL]
        turn = motion.head_scale * motion.head_rotation.T
        rigid = rings @ turn + motion.head_translation
        residual = motion.landmarks[OVAL] - (oval @ turn + motion.head_translation)
        body = rings.copy()
        body[:, :2] += self._body_motion(motion)
        moved = body + self._follow * (rigid - body) + self._spread @ residual
        moved[:, 2] = rigid[:, 2]
        parts = [motion.landmarks[:MESH_LANDMARKS], self._irises(motion.landmarks), moved]
        return np.asarray(np.concatenate(parts), np.float32)

    def _body_motion(self, motion: Motion) -> Floats:
        """(rings, 2) displacement of the body at the ring vertices."""
        points = self._rings.reshape(-1, 3)[:, :2]
        if motion.shoulders is not None:
            across = (points[:, :1] - self._shoulders_x[0]) / (self._shoulders_x[1] - self._shoulders_x[0])
            across = across.clip(-0.3, 1.3)
            return np.asarray(motion.shoulders[0] * (1 - across) + motion.shoulders[1] * across, np.float32)
        neck = motion.head_scale * motion.head_rotation @ self.neck + motion.head_translation
        travel = (neck - self.neck)[:2] * self.config.body_travel
        growth = self.config.body_scale * (motion.head_scale - 1)
        return np.asarray(travel + growth * (points - self.neck[:2]), np.float32)

    @staticmethod
    def _irises(landmarks: Floats) -> Floats:
        return np.concatenate([iris_vertices(landmarks, lids, iris) for lids, iris in EYES])


def _smoothstep(x: NDArray[Any]) -> Floats:
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _ring_points(oval: Floats, centre: Floats) -> Floats:
    """(RINGS, SPOKES, 3): the oval's shape near the face, round far from it; z is left to the caller."""
    spokes = oval[:, :2] - centre[:2]
    length = np.linalg.norm(spokes, axis=1)
    direction = spokes / length[:, None]
    rounder = _smoothstep((RINGS - 1.3) / 3)[:, None]
    reach = RINGS[:, None] * (length * (1 - rounder) + length.mean() * rounder)
    points = np.zeros((len(RINGS), SPOKES, 3), np.float32)
    points[..., :2] = centre[:2] + reach[..., None] * direction
    return points


def _spread(distance: Floats) -> Floats:
    """(rings, SPOKES): how much each ring vertex follows the oval's own movement, smoother with distance."""
    spoke = np.arange(SPOKES)
    gap = np.abs(spoke[:, None] - spoke[None, :])
    gap = np.minimum(gap, SPOKES - gap).astype(np.float32)
    rows = []
    for ring in distance:
        blur = np.exp(-0.5 * (gap / (0.3 + 2.5 * np.clip(ring, 0, 1)[:, None])) ** 2)
        rows.append(blur / blur.sum(1, keepdims=True) * (1 - _smoothstep(ring))[:, None])
    return np.asarray(np.concatenate(rows), np.float32)


def _triangles() -> NDArray[np.int32]:
    """(T, 3): skin, mouth, eyes, rings."""
    upper, lower = LIPS_INNER[:11], np.concatenate([LIPS_INNER[10:], LIPS_INNER[:1]])[::-1]
    mouth = [(upper[i], upper[i + 1], lower[i]) for i in range(10)]
    mouth += [(upper[i + 1], lower[i + 1], lower[i]) for i in range(10)]
    mouth = [t for t in mouth if len(set(t)) == 3]
    eyes = [t for i, (lids, _) in enumerate(EYES) for t in eye_triangles(lids, FIRST_IRIS + i * IRIS_VERTICES)]
    rings = []
    inner = OVAL
    for k in range(len(RINGS)):
        outer = FIRST_RING + k * SPOKES + np.arange(SPOKES)
        for i in range(SPOKES):
            j = (i + 1) % SPOKES
            rings += [(inner[i], inner[j], outer[i]), (inner[j], outer[j], outer[i])]
        inner = outer
    return np.asarray(np.concatenate([TRIANGLES, mouth, eyes, rings]), np.int32)
