"""Makes training/heads/assets/base_face.npy: the average face that synthetic people are varied from.

Every file is one person: a photo, or a clip of which the frames nearest to a frontal, closed-mouth, open-eyed face are
taken. MediaPipe's landmarks are aligned (similarity Procrustes), averaged per person and over all, and made symmetric.
What is stored is the shape alone: 478 points, in centimetres of a face 14.4 cm wide, x to the subject's left, y up,
z to the front.

    python tools/make_base_face.py PHOTO_OR_CLIP... --out training/heads/assets/base_face.npy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from avatar_sdk.topology import RIGID, TEMPLE_LEFT, TEMPLE_RIGHT

Floats = NDArray[np.float64]
WIDTH_CM = 14.4
FRAMES_PER_PERSON = 12


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("training/heads/assets/base_face.npy"))
    options = parser.parse_args()
    people = [shape for file in options.files if (shape := neutral_shape(file)) is not None]
    mean = people[0]
    for _ in range(5):
        people = [align(shape, mean) for shape in people]
        mean = np.mean(people, 0)
    mean = symmetric(mean)
    mean -= mean[RIGID].mean(0)
    mean *= WIDTH_CM / np.linalg.norm(mean[TEMPLE_LEFT] - mean[TEMPLE_RIGHT])
    np.save(options.out, mean.astype(np.float32))
    print(f"{len(people)} people, {options.out}")


def neutral_shape(file: Path) -> Floats | None:
    """The mean of one person's most neutral faces, upright and frontal; None without a face."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    found = []
    with FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        for frame in pictures(file):
            faces = mesh.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).multi_face_landmarks
            if faces:
                height, width = frame.shape[:2]
                points = np.array([[p.x * width, -p.y * height, -p.z * width] for p in faces[0].landmark])
                found.append(upright(points))
    found.sort(key=unrest)
    return np.mean([align(shape, found[0]) for shape in found[:FRAMES_PER_PERSON]], 0) if found else None


def pictures(file: Path) -> list[NDArray[np.uint8]]:
    """A photo, or every fifth frame of a clip, BGR."""
    photo = cv2.imread(str(file))
    if photo is not None:
        return [photo]
    capture, frames = cv2.VideoCapture(str(file)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames[::5]


def unrest(points: Floats) -> float:
    """0 = frontal, lips together, eyes open. Points are upright, of unit width."""
    lips = np.linalg.norm(points[13] - points[14])
    lids = np.linalg.norm(points[159] - points[145]) + np.linalg.norm(points[386] - points[374])
    turned = abs(points[TEMPLE_LEFT, 2] - points[TEMPLE_RIGHT, 2])
    return float(3 * lips + turned - lids)


def upright(points: Floats) -> Floats:
    """Turns the face so that temples lie level and the line forehead → chin is vertical; unit width."""
    across = points[TEMPLE_LEFT] - points[TEMPLE_RIGHT]
    across /= np.linalg.norm(across)
    up = points[10] - points[152]
    up -= up @ across * across
    up /= np.linalg.norm(up)
    axes = np.stack([across, up, np.cross(across, up)], 1)
    turned = (points - points[RIGID].mean(0)) @ axes
    return turned / np.linalg.norm(points[TEMPLE_LEFT] - points[TEMPLE_RIGHT])


def align(shape: Floats, to: Floats) -> Floats:
    """Similarity Procrustes on the rigid points."""
    a, b = shape[RIGID], to[RIGID]
    a0, b0 = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(a0.T @ b0)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation, scale = (u * sign) @ vt, (s * sign).sum() / (a0**2).sum()
    return scale * (shape - a.mean(0)) @ rotation + b.mean(0)


def symmetric(shape: Floats) -> Floats:
    """The mean of a face and its mirror image; partners are the best matching across the middle."""
    flipped = shape * [-1, 1, 1]
    distance = ((flipped[:, None] - shape[None]) ** 2).sum(-1)
    _, partner = linear_sum_assignment(distance + distance.T)
    assert (partner[partner] == np.arange(len(shape))).all(), "mirror partners must agree"
    return (shape + flipped[partner]) / 2


if __name__ == "__main__":
    main()
