"""The sample portrait and driver: what a newcomer sees first."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
from avatar_client.pose_file import PoseReader
from motion_faces import drive, lid_opening, lip_gaps, measured, sample_faces
from PIL import Image

from avatar_sdk.motion import MotionConfig, Neutral, Retargeter

ASSETS = files("avatar_sdk") / "assets"


def test_mediapipe_finds_the_painted_face_where_the_sample_driver_has_theirs() -> None:
    import mediapipe as mp

    with as_file(ASSETS / "sample_portrait.png") as path:
        assert path.stat().st_size <= 400_000
        image = np.asarray(Image.open(path).convert("RGB"))
    height, width = image.shape[:2]
    assert 512 <= min(height, width) <= max(height, width) <= 768
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        faces = mesh.process(image).multi_face_landmarks
    assert len(faces) == 1
    found = np.array([(p.x * width, p.y * height, p.z * width) for p in faces[0].landmark], np.float32)
    retargeter = Retargeter(found, MotionConfig(neutral=Neutral.FIRST, smoothing=None))
    driver = sample_faces()[0]
    scale = measured(found).width / measured(driver).width
    shape = (driver - measured(driver).between_eyes) * scale - (found - measured(found).between_eyes)
    assert np.abs(shape[:, :2]).mean() < 0.03 * measured(found).width
    for motion in drive(retargeter, sample_faces()[::10]):
        assert motion.landmarks[:, :2].min() > 0
        assert motion.landmarks[:, :2].max() < 768


def test_the_sample_driver_shows_everything_an_avatar_can_do() -> None:
    with as_file(ASSETS / "sample.poses") as path:
        times_s = PoseReader(path).timestamps_us / 1e6
    assert times_s[-1] - times_s[0] >= 8
    assert 1 / 25.1 < np.diff(times_s).mean() < 1 / 23.9
    faces = sample_faces()
    yaw = np.degrees([np.arcsin(measured(face).axes[2, 0]) for face in faces])
    lids = np.array([lid_opening(face) for face in faces])
    lips = np.array([lip_gaps(face).mean() for face in faces])
    assert yaw.min() < -10
    assert yaw.max() > 10
    assert lids.min() < 0.25 * np.median(lids)
    assert np.ptp(lips) > 0.05
    assert np.ptp([measured(face).mouth_width for face in faces]) > 0.06
