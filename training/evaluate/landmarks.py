"""Where MediaPipe sees the face in a single picture."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import LANDMARKS

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

SEEN_PX: Final = 512


class LandmarkFinder:
    """FaceMesh with irises, every picture on its own: no memory can smooth an error away."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh

        self._mesh = FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)

    def __call__(self, image: Pixels) -> Floats | None:
        """(478, 3) float32 pixels of the square `image` (S, S, 3) uint8 RGB; None = no face."""
        seen = cv2.resize(image, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_CUBIC)
        faces = self._mesh.process(seen).multi_face_landmarks
        if not faces:
            return None
        points = faces[0].landmark
        assert len(points) == LANDMARKS
        return np.array([(p.x, p.y, p.z) for p in points], np.float32) * np.float32(image.shape[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mesh.close()
