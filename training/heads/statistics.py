"""How real rendered faces look to MediaPipe: found or not, how far off, how lids and lips are read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    NOSE,
    OVAL,
)
from training.heads.acting import Performance
from training.heads.anatomy import lid_opening
from training.heads.expression import INDEX
from training.heads.scene import Scene, Take

Floats = NDArray[np.float64]

REGIONS: Final = {
    "all": np.arange(468),
    "lips": np.r_[LIPS_INNER, LIPS_OUTER],
    "eyes": np.r_[EYE_RIGHT, EYE_LEFT],
    "iris": np.r_[IRIS_RIGHT, IRIS_LEFT],
    "brows": np.r_[BROW_RIGHT, BROW_LEFT],
    "nose": NOSE,
    "oval": OVAL,
}
JUDGED_PX: Final = 256
SEEN_PX: Final = 512
CLOSING: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class FaceStatistics:
    """What MediaPipe (static mode, iris refined) makes of rendered faces.

    Attributes:
        people, frames: looked at.
        found: share of frames with a face.
        error_px: region → mean distance of detected and exact landmarks at 256 pixels.
        lid_slope: how much of a closing of the lids is read, mean over people.
        mouth_slope: the same of the opening of the lips, over all frames.
        mouth_correlation: of the exact and the detected opening.
    """

    people: int
    frames: int
    found: float
    error_px: dict[str, float]
    lid_slope: float
    mouth_slope: float
    mouth_correlation: float

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def measure(seed: int, people: int, frames_each: int = 8) -> FaceStatistics:
    """Films people 0 … `people` − 1 of a seed and looks at them with MediaPipe."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    found, errors, mouths, slopes = 0, [], [], []
    with FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1) as mesh:

        def look(image: NDArray[np.uint8]) -> Floats | None:
            faces = mesh.process(cv2.resize(image, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_CUBIC))
            if not faces.multi_face_landmarks:
                return None
            return np.array([(p.x, p.y) for p in faces.multi_face_landmarks[0].landmark]) * len(image) - 0.5

        for person in range(people):
            scene = Scene((seed, person))
            act = scene.act(8 * frames_each)
            for k in range(frames_each):
                take = scene.take(act, 8 * k, k)
                seen = look(take.image)
                if seen is None:
                    continue
                found += 1
                exact = take.landmarks[:, :2]
                errors.append(np.linalg.norm(seen - exact, axis=1) * JUDGED_PX / len(take.image))
                mouths.append([_lips(exact), _lips(seen)])
            read = [
                (lid_opening(take.landmarks).mean(), seen) for take in _closings(scene) for seen in [look(take.image)]
            ]
            pairs = np.array([(exact, lid_opening(seen).mean()) for exact, seen in read if seen is not None])
            if len(pairs) == len(CLOSING):
                slopes.append(np.polyfit(pairs[:, 0], pairs[:, 1], 1)[0])
    table, opening = np.array(errors), np.array(mouths)
    return FaceStatistics(
        people=people,
        frames=people * frames_each,
        found=found / (people * frames_each),
        error_px={name: float(table[:, part].mean()) for name, part in REGIONS.items()},
        lid_slope=float(np.mean(slopes)),
        mouth_slope=float(np.polyfit(opening[:, 0], opening[:, 1], 1)[0]),
        mouth_correlation=float(np.corrcoef(opening.T)[0, 1]),
    )


def _lips(points: Floats) -> float:
    return float(np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[33] - points[263]))


def _closings(scene: Scene) -> list[Take]:
    """The portrait's moment with lids that close step by step."""
    takes = []
    for weight in CLOSING:
        weights = scene.portrait.weights.copy()
        for side in ("right", "left"):
            weights[0, INDEX[f"blink_{side}"]], weights[0, INDEX[f"squint_{side}"]] = weight, 0
        act: Performance = replace(scene.portrait, weights=weights, gaze_rad=0 * scene.portrait.gaze_rad)
        takes.append(scene.take(act, 0))
    return takes
