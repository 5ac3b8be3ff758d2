"""A portrait made from the driver's own neutral frame is driven to exactly the driver's landmarks."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from motion_faces import Floats, drive, portrait_of, sample_faces, with_openings

from avatar_sdk.motion import MotionConfig, Neutral, Retargeter

MEDIA = Path(os.environ.get("AVATAR_TEST_MEDIA", Path(__file__).parents[2] / "shared" / "media")) / "driving"
CLIPS = sorted(MEDIA.glob("*.mp4"))


def exact(neutral: Neutral) -> MotionConfig:
    return MotionConfig(neutral=neutral, smoothing=None)


def furthest_from_driver(faces: Floats, config: MotionConfig) -> float:
    motions = drive(Retargeter(portrait_of(faces[0]), config), faces)
    driven = np.stack([motion.landmarks for motion in motions])
    return float(np.abs(driven - portrait_of(faces)).max())


@pytest.mark.parametrize("neutral", [Neutral.FIRST, Neutral.ABSOLUTE])
def test_self_transfer_is_the_driver_itself(neutral: Neutral) -> None:
    assert furthest_from_driver(sample_faces(), exact(neutral)) <= 1e-3


def test_self_transfer_is_exact_whatever_the_first_face_does() -> None:
    open_and_narrow = np.stack([with_openings(face, lids=0.5, lips=0.06) for face in sample_faces()[::6]])
    assert furthest_from_driver(open_and_narrow, exact(Neutral.FIRST)) <= 1e-3
    from_a_turned_head = sample_faces()[110:200:3]
    assert furthest_from_driver(from_a_turned_head, exact(Neutral.FIRST)) <= 1e-3


@pytest.mark.skipif(not CLIPS, reason=f"no clips in {MEDIA}; set AVATAR_TEST_MEDIA")
@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)
def test_self_transfer_of_real_faces_is_exact(clip: Path) -> None:
    faces = tracked(clip, frames=40, every=4)
    assert furthest_from_driver(faces, exact(Neutral.FIRST)) <= 1e-3


def tracked(clip: Path, frames: int, every: int) -> Floats:
    """(frames, 478, 3) landmarks of every EVERY-th frame, image widths."""
    import mediapipe as mp

    found: list[list[tuple[float, float, float]]] = []
    capture = cv2.VideoCapture(str(clip))
    with mp.solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True) as mesh:
        for index in range(frames * every):
            ok, image = capture.read()
            if not ok:
                break
            if index % every:
                continue
            height, width = image.shape[:2]
            faces = mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks
            if faces:
                found.append([(p.x, p.y * height / width, p.z) for p in faces[0].landmark])
    capture.release()
    assert len(found) > frames // 2
    return np.array(found, np.float32)
