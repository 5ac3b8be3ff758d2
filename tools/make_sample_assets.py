"""Makes the sample assets: paints the portrait and performs the pose stream that drives it.

    python tools/make_sample_assets.py [--only portrait|poses]

Both are our own work from formulas; no photograph, recording or third-party mesh goes in. MediaPipe only says where the
painted face's landmarks are, which become the driver's face.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from avatar_client.pose import Pose
from avatar_client.pose_file import PoseFileInfo, PoseWriter
from numpy.typing import NDArray
from PIL import Image

ASSETS = Path(__file__).parent.parent / "avatar_sdk" / "assets"


def find_landmarks(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(478, 3) landmarks of the face in (H, W, 3) RGB, in pixels."""
    import mediapipe as mp

    height, width = image.shape[:2]
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        faces = mesh.process(image).multi_face_landmarks
    if not faces:
        raise SystemExit("MediaPipe finds no face in the painted portrait; nothing was written")
    return np.array([(p.x * width, p.y * height, p.z * width) for p in faces[0].landmark], np.float32)


def main() -> None:
    """Writes `sample_portrait.png` and `sample.poses`."""
    from sample_assets.performance import FPS, perform
    from sample_assets.portrait import paint_portrait

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["portrait", "poses"])
    only = parser.parse_args().only
    portrait_path, poses_path = ASSETS / "sample_portrait.png", ASSETS / "sample.poses"
    if only != "poses":
        image = paint_portrait()
        find_landmarks(image)
        Image.fromarray(image).save(portrait_path, optimize=True)
        print(f"{portrait_path}: {portrait_path.stat().st_size / 1000:.0f} kB")
    if only != "portrait":
        times_us, faces = perform(find_landmarks(np.asarray(Image.open(portrait_path).convert("RGB"))))
        with PoseWriter(
            poses_path, PoseFileInfo(fps=FPS, width_px=640, height_px=480, source="sample driver")
        ) as writer:
            for time_us, face in zip(times_us.tolist(), faces, strict=True):
                writer.write(Pose(time_us, face))
        print(f"{poses_path}: {len(faces)} poses, {poses_path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
