"""Finds the face and the person in a photo."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np
from avatar_client.errors import InvalidPortraitError
from numpy.typing import NDArray

from avatar_sdk.topology import LANDMARKS

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_FACE_PX: Final = 48
LANDMARK_PASSES: Final = 4
"""FaceMesh looks at the same crop until it agrees with itself, as it does in a video: the first look alone is off by
1.5 % of the eye distance, and the driver's landmarks come from a video."""


@dataclass(frozen=True, eq=False)
class Face:
    """The largest face of a photo.

    Attributes:
        landmarks: (478, 3) float32 in photo pixels (index of a pixel = its centre), z in the same unit.
        faces: how many faces the photo shows.
    """

    landmarks: Floats
    faces: int


class PortraitReader:
    """MediaPipe's graphs, loaded once. Calls from several threads wait for each other.

    A context manager; otherwise call `close`.
    """

    def __init__(self) -> None:
        from mediapipe import solutions

        self._lock = threading.Lock()
        self._detector = solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)
        self._mesh = solutions.face_mesh.FaceMesh(
            max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3, min_tracking_confidence=0.3
        )
        self._person = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

    def __enter__(self) -> PortraitReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Frees the graphs."""
        with self._lock:
            for graph in (self._detector, self._mesh, self._person):
                graph.close()

    def find_face(self, photo: Pixels) -> Face:
        """Landmarks of the largest face in `photo` (H, W, 3) uint8 RGB.

        Raises:
            InvalidPortraitError: no face, or one smaller than 48 pixels.
        """
        with self._lock:
            boxes = self._boxes(photo)
            landmarks = None
            for left, top, right, bottom in [_around(box, photo) for box in boxes[:1]] + [
                (0, 0, photo.shape[1], photo.shape[0])
            ]:
                landmarks = self._landmarks(np.ascontiguousarray(photo[top:bottom, left:right]))
                if landmarks is not None:
                    landmarks[:, :2] += (left, top)
                    break
        if landmarks is None:
            height, width = photo.shape[:2]
            raise InvalidPortraitError(
                f"no face was found in the {width}×{height} portrait; use a photo that shows one face from the front, "
                "well lit and not covered",
                field="portrait",
            )
        size = float(np.ptp(landmarks[:, :2], 0).max())
        if size < MIN_FACE_PX:
            raise InvalidPortraitError(
                f"the face is only {size:.0f} pixels tall; at least {MIN_FACE_PX} are needed: use a closer photo",
                field="portrait",
            )
        return Face(landmarks, max(1, len(boxes)))

    def find_boxes(self, photo: Pixels) -> list[Floats]:
        """Left, top, width, height of every face in `photo` (H, W, 3) uint8 RGB, largest first. Unit: pixels."""
        with self._lock:
            return self._boxes(photo)

    def find_person(self, view: Pixels) -> Floats:
        """How surely each pixel of `view` (H, W, 3) uint8 RGB belongs to a person: (H, W) float32 in [0, 1]."""
        with self._lock:
            return np.array(self._person.process(view).segmentation_mask, np.float32)

    def _boxes(self, photo: Pixels) -> list[Floats]:
        """See `find_boxes`."""
        scale = np.array([photo.shape[1], photo.shape[0]] * 2, np.float32)
        found: list[Any] = self._detector.process(photo).detections or []
        relative = [one.location_data.relative_bounding_box for one in found]
        boxes = [np.array([box.xmin, box.ymin, box.width, box.height], np.float32) * scale for box in relative]
        return sorted(boxes, key=lambda box: -float(box[2] * box[3]))

    def _landmarks(self, view: Pixels) -> Floats | None:
        """(478, 3) in pixels of `view`, or None."""
        self._mesh.reset()
        height, width = view.shape[:2]
        points: Floats | None = None
        for _ in range(LANDMARK_PASSES):
            faces = self._mesh.process(view).multi_face_landmarks
            if faces:
                points = np.array([(p.x * width, p.y * height, p.z * width) for p in faces[0].landmark], np.float32)
                assert points.shape == (LANDMARKS, 3)
                points[:, :2] -= 0.5
        return points


def _around(box: Floats, photo: Pixels) -> tuple[int, int, int, int]:
    """A square three times the size of `box`, cut to the photo: left, top, right, bottom."""
    height, width = photo.shape[:2]
    reach = 1.5 * max(box[2], box[3])
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    return left, top, min(width, int(x + reach) + 1), min(height, int(y + reach) + 1)
