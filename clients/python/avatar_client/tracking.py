"""Camera images to poses, by MediaPipe.

The default is the `mp.solutions` API, whose models come inside MediaPipe's wheel: it works offline. With a `.task`
file, or a MediaPipe that has no `mp.solutions` any more, the Tasks API does the same behind the same class.
Each part runs as a graph of its own: together they cost less than MediaPipe's Holistic.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from avatar_client.errors import InvalidConfigError, InvalidInputError, MissingDependencyError
from avatar_client.pose import COORDINATE_LIMIT, FACE_SHAPE, HANDS_SHAPE, Array, Pose

SETTLING_LOOKS: Final = 3
"""More looks at the first image of a face: the first alone is off by up to 1.6 % of the eye distance, and the first
pose of a driver is often the neutral one."""
_WRISTS: Final = (15, 16)
"""The subject's left and right wrist among the body landmarks."""


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """What is tracked; the face always is.

    Attributes:
        body: track 33 body landmarks too.
        hands: track both hands too.
        min_detection_confidence: a part is found from this score on. Range: [0, 1].
        min_tracking_confidence: a found part is followed down to this score. Range: [0, 1].
        face_looks: how often FaceMesh looks at one image; the second look sits better on a fast face and takes as long
            again. For files; a live camera is better served by its next image.
        face_task: Face Landmarker model (`.task`) of MediaPipe's Tasks API, instead of the built-in model.
        body_task: the same for the body: Pose Landmarker.
        hands_task: the same for the hands: Hand Landmarker.
    """

    body: bool = False
    hands: bool = False
    face_looks: int = 1
    min_detection_confidence: float = 0.5
    min_tracking_confidence: float = 0.5
    face_task: str | os.PathLike[str] | None = None
    body_task: str | os.PathLike[str] | None = None
    hands_task: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for a confidence outside [0, 1] or a number of looks outside [1, 4]."""
        for name in ("min_detection_confidence", "min_tracking_confidence"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidConfigError(f"{name} is {getattr(self, name)}; it must be in [0, 1]", field=name)
        if not 1 <= self.face_looks <= 4:
            raise InvalidConfigError(f"face_looks is {self.face_looks}; it must be in [1, 4]", field="face_looks")


class Hand(NamedTuple):
    """A hand as MediaPipe reports it.

    Attributes:
        label: "Left" or "Right", named as if the image were mirrored.
        score: how sure the label is. Range: [0, 1].
        points: (21, 3) float32, x and y in [0, 1] of the image's width and height, z in image widths.
    """

    label: str
    score: float
    points: Array


class Landmarks(NamedTuple):
    """What MediaPipe found in one image: x and y in [0, 1] of the image's width and height, z in image widths.

    Attributes:
        face: (478, 3) float32, or None when there is no face.
        body: (33, 4) float32 x, y, z, visibility, or None.
        hands: up to two, or None when they are not tracked.
    """

    face: Array | None = None
    body: Array | None = None
    hands: Sequence[Hand] | None = None


class PoseTracker:
    """Follows one driver through the images of one camera or clip; its memory makes it serve one source at a time.

    >>> with PoseTracker() as tracker:
    ...     pose = tracker.track(image_rgb, timestamp_us)
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        """Loads the models and runs them once, so that the first image is as quick as the others.

        Raises:
            MissingDependencyError: MediaPipe is not installed, or it brings no model for a part that is wanted.
            InvalidConfigError: a `.task` file is missing or unusable.
        """
        self.config = config = config or TrackerConfig()
        self._face_seen = False
        self._detectors: dict[str, _Detector] = {}
        with quiet_mediapipe():
            for part, wanted, task in (
                ("face", True, config.face_task),
                ("body", config.body, config.body_task),
                ("hands", config.hands, config.hands_task),
            ):
                if wanted:
                    self._detectors[part] = _open_task(part, task, config) if task else _open_solution(part, config)
                    self._detectors[part].detect(np.zeros((64, 64, 3), np.uint8), 0)

    def track(self, image_rgb: NDArray[np.uint8], timestamp_us: int) -> Pose:
        """The pose in one image, (H, W, 3) uint8 RGB in [0, 255], unmirrored; without a face, an absent pose.

        Time stamps must increase from image to image. `face_confidence` is 1 or 0: MediaPipe tells no more.

        Raises:
            InvalidInputError: the image has another type or shape.
        """
        if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or 0 in image_rgb.shape:
            raise InvalidInputError(
                f"the image is {image_rgb.dtype}{list(image_rgb.shape)}; it must be uint8[height, width, 3] RGB"
            )
        image = np.ascontiguousarray(image_rgb)
        with quiet_mediapipe(not self._face_seen):  # MediaPipe has one more thing to say when it first finds a face
            found = Landmarks(**{part: one.detect(image, timestamp_us) for part, one in self._detectors.items()})
        self._face_seen = self._face_seen or found.face is not None
        return to_pose(found, timestamp_us, width_px=image.shape[1], height_px=image.shape[0])

    def close(self) -> None:
        """Frees the models. Idempotent."""
        for detector in self._detectors.values():
            detector.close()
        self._detectors.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def to_pose(found: Landmarks, timestamp_us: int, *, width_px: int, height_px: int) -> Pose:
    """MediaPipe's landmarks of one width × height image as a `Pose`: y becomes image widths, hands get their side."""
    y_scale = np.float32(height_px / width_px)
    face = None if found.face is None else _in_widths(found.face, y_scale)
    if face is not None and not (np.abs(face) <= COORDINATE_LIMIT).all():
        face = None
    body = None if found.body is None else _in_widths(found.body, y_scale).clip(-COORDINATE_LIMIT, COORDINATE_LIMIT)
    hands = None
    if found.hands is not None:
        hands = np.full(HANDS_SHAPE, np.nan, np.float32)
        scaled = [hand._replace(points=_in_widths(hand.points, y_scale)) for hand in found.hands]
        for side, points in _sides(scaled, body).items():
            hands[side] = points.clip(-COORDINATE_LIMIT, COORDINATE_LIMIT)
    if face is None:
        return Pose(timestamp_us, face_present=False, face_confidence=0.0, body=body, hands=hands)
    return Pose(timestamp_us, face=face, body=body, hands=hands)


def _in_widths(points: Array, y_scale: np.float32) -> Array:
    scaled = points.astype(np.float32)
    scaled[:, 1] *= y_scale
    return scaled


def _sides(hands: Sequence[Hand], body: Array | None) -> dict[int, Array]:
    """Which hand is the subject's left (0) and which the right (1).

    MediaPipe names hands as if the image were mirrored, so in ours its "Right" is the left hand. One label can be
    wrong; one person has at most one hand a side, so with two hands the more likely of both assignments counts: by
    the distance to the body's wrists when these are tracked, else by the scores of the labels.
    """

    def cost(hand: Hand, side: int) -> float:
        if body is not None:
            return float(np.hypot(*(hand.points[0, :2] - body[_WRISTS[side], :2])))
        return 1.0 - hand.score if (hand.label == "Right") == (side == 0) else hand.score

    if not hands:
        return {}
    if len(hands) == 1:
        return {min((0, 1), key=lambda side: cost(hands[0], side)): hands[0].points}
    one, other = hands[:2]
    if cost(one, 0) + cost(other, 1) <= cost(other, 0) + cost(one, 1):
        return {0: one.points, 1: other.points}
    return {0: other.points, 1: one.points}


@dataclass(frozen=True, slots=True)
class _Detector:
    """One part's model: `detect(image, timestamp_us)` gives the field of `Landmarks` named after the part."""

    detect: Callable[[NDArray[np.uint8], int], Any]
    close: Callable[[], None]


def _import_mediapipe() -> Any:
    try:
        import mediapipe
    except ImportError as error:
        raise MissingDependencyError(
            f"tracking needs MediaPipe, which cannot be imported ({error}); pip install 'avatar-client[webcam]'"
        ) from error
    return mediapipe


def _open_solution(part: str, config: TrackerConfig) -> _Detector:
    mediapipe = _import_mediapipe()
    if not hasattr(mediapipe, "solutions"):
        raise MissingDependencyError(
            f"MediaPipe {mediapipe.__version__} brings no models; install mediapipe==0.10.21, or download MediaPipe's "
            f"landmarker model for the {part} and pass TrackerConfig({part}_task='….task')"
        )
    options: dict[str, Any] = {
        "min_detection_confidence": config.min_detection_confidence,
        "min_tracking_confidence": config.min_tracking_confidence,
    }
    graph: Any
    if part == "face":
        graph = mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True, **options)

        return _Detector(_settled(graph, config.face_looks), graph.close)

    if part == "body":
        graph = mediapipe.solutions.pose.Pose(model_complexity=1, **options)  # the others are not in the wheel

        def read(result: Any) -> Any:
            return _points(result.pose_landmarks.landmark, "visibility") if result.pose_landmarks else None

    else:
        graph = mediapipe.solutions.hands.Hands(max_num_hands=2, model_complexity=0, **options)

        def read(result: Any) -> Any:
            labels = [side.classification[0] for side in result.multi_handedness or ()]
            hands = [_points(hand.landmark) for hand in result.multi_hand_landmarks or ()]
            return [Hand(side.label, side.score, points) for side, points in zip(labels, hands, strict=True)]

    return _Detector(lambda image, _: read(graph.process(image)), graph.close)


def _settled(graph: Any, looks: int) -> Callable[[NDArray[np.uint8], int], Any]:
    """Reads faces; a face that was not there a frame ago is looked at until FaceMesh agrees with itself."""
    following = False

    def detect(image: NDArray[np.uint8], _: int) -> Any:
        nonlocal following
        faces = graph.process(image).multi_face_landmarks
        if faces:
            for _ in range(looks - 1 if following else SETTLING_LOOKS):
                faces = graph.process(image).multi_face_landmarks or faces
        following = bool(faces)
        return _face_points(faces[0]) if faces else None

    return detect


def _open_task(part: str, path: str | os.PathLike[str], config: TrackerConfig) -> _Detector:
    path = Path(path)
    if not path.is_file():
        raise InvalidConfigError(f"{part}_task is {str(path)!r}: there is no such file", field=f"{part}_task")
    mediapipe = _import_mediapipe()
    from mediapipe.tasks.python import vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

    noun, kind = {"face": ("face", "Face"), "body": ("pose", "Pose"), "hands": ("hand", "Hand")}[part]
    options = {
        "base_options": BaseOptions(model_asset_buffer=path.read_bytes()),
        "running_mode": vision.RunningMode.VIDEO,
        f"num_{noun}s": 2 if part == "hands" else 1,
        f"min_{noun}_detection_confidence": config.min_detection_confidence,
        f"min_{noun}_presence_confidence": config.min_tracking_confidence,
        "min_tracking_confidence": config.min_tracking_confidence,
    }
    try:
        task = getattr(vision, f"{kind}Landmarker").create_from_options(
            getattr(vision, f"{kind}LandmarkerOptions")(**options)
        )
    except (RuntimeError, ValueError) as error:
        raise InvalidConfigError(
            f"{path} is no {kind} Landmarker model: {str(error).splitlines()[0]}", field=f"{part}_task"
        ) from error
    last_ms = -1

    def detect(image: NDArray[np.uint8], timestamp_us: int) -> Any:
        nonlocal last_ms
        last_ms = max(last_ms + 1, timestamp_us // 1000)  # the task wants whole milliseconds that increase
        result = task.detect_for_video(mediapipe.Image(mediapipe.ImageFormat.SRGB, image), last_ms)
        if part == "hands":
            labels = [side[0] for side in result.handedness]
            hands = [_points(hand) for hand in result.hand_landmarks]
            return [Hand(side.category_name, side.score, points) for side, points in zip(labels, hands, strict=True)]
        found = result.face_landmarks if part == "face" else result.pose_landmarks
        return _points(found[0], *(("visibility",) if part == "body" else ())) if found else None

    return _Detector(detect, task.close)


def _points(landmarks: Sequence[Any], *more: str) -> Array:
    return np.array([[getattr(one, name) for name in ("x", "y", "z", *more)] for one in landmarks], np.float32)


_WIRE: Final = np.dtype({"names": ["x", "y", "z"], "formats": ["<f4"] * 3, "offsets": [3, 8, 13], "itemsize": 17})
"""How protobuf writes a landmark of three floats: two bytes of frame, then a tag byte before each float."""


def _face_points(face: Any) -> Array:
    """`_points` of a whole face at a twentieth of the cost: 478 × 3 attribute look-ups take 0.7 ms."""
    data = face.SerializeToString()
    if len(data) != FACE_SHAPE[0] * _WIRE.itemsize:
        return _points(face.landmark)
    columns = np.frombuffer(data, _WIRE)
    return np.stack([columns[name] for name in ("x", "y", "z")], axis=1)


_CHATTER: Final = re.compile(rb"^(INFO: Created TensorFlow|WARNING: All log messages before absl|[IW]\d{4} )")
_stderr_lock = threading.Lock()


@contextmanager
def quiet_mediapipe(needed: bool = True) -> Iterator[None]:
    """Takes MediaPipe's own log lines out of the process's stderr; whatever else is written there still arrives.

    MediaPipe's C++ part logs before its logging is set up, so no environment variable silences it.
    """
    if not needed or sys.stderr is None:  # a windowed program may have none
        yield
        return
    with _stderr_lock, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            caught.seek(0)
            for line in caught:
                if not _CHATTER.match(line):
                    os.write(2, line)
