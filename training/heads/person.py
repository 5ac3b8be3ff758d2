"""A whole person: all parts in one mesh, and where every vertex and landmark is in a frame.

Centimetres; x to the subject's left, y up, z towards the camera.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import MESH_LANDMARKS, OVAL, TRIANGLES
from training.heads import body, expression, eyes, glasses, hair, mouth, skin
from training.heads.acting import Performance
from training.heads.anatomy import JAW_HINGE, turned
from training.heads.identity import Identity, draw_identity
from training.heads.part import Part
from training.heads.raster import Material, Materials, Surface

Floats = NDArray[np.float64]

RETRACTION_CM: Final = 0.15
"""How far an eye draws back when its lids close, so that nothing white shows beside them."""

NECK_PIVOT: Final = np.array([0.0, -12.0, -7.5])
WAIST: Final = np.array([0.0, -55.0, -8.0])
FACE_TRIANGLES: Final = np.ascontiguousarray(TRIANGLES[:, [0, 2, 1]], np.int32)


class Person:
    """An identity with its textures and meshes, ready to be posed. Never changes."""

    def __init__(self, rng: np.random.Generator, identity: Identity | None = None) -> None:
        self.identity = identity or draw_identity(rng)
        self._shapes = expression.shapes_of(self.identity.face[:MESH_LANDMARKS])
        self._rings = body.skull(self.identity, rng)
        head = np.concatenate([self.identity.face[:MESH_LANDMARKS], self._rings.reshape(-1, 3)])
        self._eyes = eyes.eyeballs(self.identity)
        self._follow = np.linspace(1, 0, body.RINGS + 1)[1:, None, None]
        self._parts: list[Part] = [
            *mouth.teeth(self.identity, rng),
            *mouth.tongue_and_cavity(self.identity, rng),
            *body.ears(self.identity, rng),
            body.neck(self.identity, rng),
            body.torso(rng),
            *hair.hair(self.identity, head, rng),
            *(glasses.glasses(self.identity, rng) if self.identity.glasses else ()),
        ]
        self._tongue = 2
        self._assemble(head, rng)

    def _assemble(self, head: Floats, rng: np.random.Generator) -> None:
        """Joins index lists, texture coordinates and materials; they stay as they are."""
        face_skin = skin.paint_skin(self.identity, rng)
        materials: list[Material] = [face_skin, eyes.eye_material(self.identity, rng)]
        eye_triangles, eye_uv = eyes.eye_mesh()
        triangles = [FACE_TRIANGLES, body.skull_triangles(MESH_LANDMARKS)]
        kinds = [np.zeros(len(t), np.int32) for t in triangles]
        uv = [skin.face_uv(), skin.unroll(head[MESH_LANDMARKS:])]
        count = len(head)
        for _ in self._eyes:
            triangles.append(eye_triangles + count)
            kinds.append(np.ones(len(eye_triangles), np.int32))
            uv.append(eye_uv)
            count += len(eye_uv)
        for part in self._parts:
            triangles.append(part.triangles + count)
            kinds.append(np.full(len(part.triangles), len(materials), np.int32))
            materials.append(part.material)
            uv.append(part.uv)
            count += len(part.points)
        head_points = len(head) + 2 * len(eye_uv)
        self._head_share = np.concatenate([np.ones(head_points), *(part.head for part in self._parts)])[:, None]
        self._surface = Surface(
            np.zeros((count, 3), np.float32),
            np.ascontiguousarray(np.concatenate(triangles), np.int32),
            np.concatenate(uv).astype(np.float32),
            np.concatenate(kinds),
            Materials.pack(materials),
        )

    def pose(self, act: Performance, frame: int) -> tuple[Surface, Floats]:
        """The mesh in a frame, and its landmarks (478, 3), both in world space."""
        weights = act.weights[frame]
        rest = self.identity.face[:MESH_LANDMARKS]
        face = expression.deform(rest, self._shapes, weights)
        oval = face[OVAL] - rest[OVAL]
        rings = self._rings + self._follow**2 * oval
        caps, rims = zip(*(eye.looking(*act.gaze_rad[frame]) for eye in self._eyes), strict=True)
        closing = np.clip(weights[[expression.INDEX["blink_right"], expression.INDEX["blink_left"]]], 0, 1)
        caps = tuple(cap - (0, 0, RETRACTION_CM * shut) for cap, shut in zip(caps, closing, strict=True))
        degrees = expression.JAW_DEGREES * float(weights[expression.INDEX["jaw_open"]])
        sideways = np.array([0.6 * weights[expression.INDEX["jaw_side"]], 0, 0])
        parts = []
        for k, part in enumerate(self._parts):
            points = part.points
            if part.jaw.any():
                opened = turned(points, degrees, JAW_HINGE) + sideways
                points = points + part.jaw[:, None] * (opened - points)
            if k == self._tongue:
                points = points + np.array((0, act.tongue_cm[frame], 0))
            parts.append(points)
        points = np.concatenate([face, rings.reshape(-1, 3), *caps, *parts])
        landmarks = np.concatenate([face, *rims])
        moved = self._place(points, self._head_share, act, frame)
        seen = self._place(landmarks, np.ones((len(landmarks), 1)), act, frame)
        return replace(self._surface, points=moved.astype(np.float32)), seen

    @staticmethod
    def _place(points: Floats, head_share: Floats, act: Performance, frame: int) -> Floats:
        """Turns the head on the neck and the body at the waist."""
        turn = rotation(*act.head_rad[frame])
        nodded = (points - NECK_PIVOT) @ turn.T + NECK_PIVOT + act.head_cm[frame]
        points = points + head_share * (nodded - points)
        return np.asarray((points - WAIST) @ rotation(*act.body_rad[frame]).T + WAIST + act.body_cm[frame])


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """(3, 3): yaw to the subject's left, pitch up, roll to the subject's left."""
    (cy, cp, cr), (sy, sp, sr) = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)
