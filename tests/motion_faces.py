"""Faces and drivers for the tests of motion, all from the sample pose stream."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from avatar_client.pose import Pose
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray

from avatar_sdk.motion import Motion, MotionState, Retargeter
from avatar_sdk.motion.measures import Measures
from avatar_sdk.motion.regions import IRISES, LOWER_LIDS, LOWER_LIP, UPPER_LIDS, UPPER_LIP
from avatar_sdk.motion.rigid import rotation_matrix

Floats = NDArray[np.float32]

FRAME_US = 40_000
SCALE, PLACE = np.float32(471.0), np.array([25.0, -12.0, 4.0], np.float32)
"""From the driver's image widths to the portrait's pixels."""


@lru_cache(maxsize=1)
def sample_faces() -> Floats:
    """(300, 478, 3) image widths: speech, blinks, turns to both sides, nods, smiles and gaze."""
    with as_file(files("avatar_sdk") / "assets" / "sample.poses") as path:
        faces = np.stack([pose.face for pose in PoseReader(path)])
    faces.flags.writeable = False
    return faces


def neutral_face() -> Floats:
    return sample_faces()[0]


def portrait_of(face: Floats) -> Floats:
    """The pixels of a portrait that shows this face."""
    return face * SCALE + PLACE


def pose(face: Floats, frame: int, body: Floats | None = None) -> Pose:
    return Pose(frame * FRAME_US, np.ascontiguousarray(face, np.float32), body=body)


def drive(retargeter: Retargeter, faces: Floats, state: MotionState | None = None, start: int = 0) -> list[Motion]:
    """One step per face, 40 ms apart."""
    state = state or retargeter.start()
    return [
        retargeter.step(state, pose(face, start + index), (start + index) * FRAME_US)
        for index, face in enumerate(faces)
    ]


def turned(face: Floats, *, pitch: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> Floats:
    """The face with its head turned about the point between its eyes. Unit: degrees."""
    measures = measured(face)
    rotation = rotation_matrix(np.radians([pitch, yaw, roll]))
    return ((face - measures.between_eyes) @ rotation.T + measures.between_eyes).astype(np.float32)


def with_openings(face: Floats, *, lids: float = 1.0, lips: float = 0.0) -> Floats:
    """The face with its lid gaps multiplied by `lids` and its lips opened further by `lips` face widths."""
    measures = measured(face)
    down = measures.axes[:, 1]
    out = face.astype(np.float64)
    gap = ((out[LOWER_LIDS] - out[UPPER_LIDS]) @ down)[..., None] * down
    out[UPPER_LIDS] += 0.5 * (1 - lids) * gap
    out[LOWER_LIDS] -= 0.5 * (1 - lids) * gap
    arch = np.sin(np.linspace(0.2, np.pi - 0.2, 9))[None, :, None] * measures.width * lips * down
    out[UPPER_LIP] -= 0.3 * arch
    out[LOWER_LIP] += 0.7 * arch
    return out.astype(np.float32)


def looking(face: Floats, aside: float) -> Floats:
    """The face with its irises moved sideways by a share of the face width."""
    measures = measured(face)
    out = face.copy()
    out[IRISES] += (aside * measures.width * measures.axes[:, 0]).astype(np.float32)
    return out


def measured(face: Floats) -> Measures:
    measures = Measures.of(face)
    assert measures is not None
    return measures


def lid_opening(face: Floats) -> float:
    """Lid gap over eye width."""
    return measured(face).lid_opening


def lip_gaps(face: Floats) -> Floats:
    """(9,) signed gaps of the inner lips over the face width."""
    measures = measured(face)
    gaps = (face[LOWER_LIP[-1]] - face[UPPER_LIP[-1]]) @ measures.axes[:, 1]
    return np.asarray(gaps / measures.width, np.float32)


def largest_step(motions: list[Motion]) -> float:
    """The furthest any landmark goes from one frame to the next. Unit: pixels."""
    landmarks = np.stack([motion.landmarks for motion in motions])
    return float(np.linalg.norm(np.diff(landmarks, axis=0), axis=2).max())
