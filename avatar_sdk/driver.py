"""Who drives an offline rendering: a video, tracked as it is read, or recorded poses."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from avatar_client.errors import InvalidVideoError
from avatar_client.pose import Pose
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray

if TYPE_CHECKING:
    from avatar_client.tracking import TrackerConfig

DEFAULT_FPS = 25.0
"""Assumed where a file does not tell."""


class Observation(NamedTuple):
    """One frame of the driver.

    Attributes:
        pose: what was seen; its time is the driver's own.
        image: (H, W, 3) uint8 RGB in [0, 255], or None when only poses were recorded.
        track_us: time spent on tracking. Unit: microseconds.
    """

    pose: Pose
    image: NDArray[np.uint8] | None = None
    track_us: int = 0


class Driver(ABC):
    """Observations in the order of time.

    Attributes:
        path: the file.
        fps: nominal rate. Unit: frames per second.
        count: how many observations there are, as far as the file tells; 0 = unknown.
        aspect: height / width of the driver's picture.
        sound: the file that may have a sound track, or None.
    """

    path: Path
    fps: float
    count: int = 0
    aspect: float = 1.0
    sound: Path | None = None

    @abstractmethod
    def observe(self) -> Generator[Observation, None, None]:
        """All observations, from the start."""

    @abstractmethod
    def pose_at(self, index: int) -> Pose:
        """The pose of one frame, counted from 0.

        Raises:
            InvalidVideoError: there is no such frame, or no face in it.
        """

    @property
    def interval_us(self) -> int:
        """Nominal time between observations. Unit: microseconds."""
        return round(1e6 / self.fps)


class PoseFileDriver(Driver):
    """Recorded poses."""

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            InvalidVideoError: it is missing, damaged or empty.
        """
        self.path = path
        self._poses = PoseReader(path)
        if not len(self._poses):
            raise InvalidVideoError(f"{path} holds no pose; `avatar track` records them")
        info = self._poses.info
        self.fps = info.fps or DEFAULT_FPS
        self.count = len(self._poses)
        if info.width_px and info.height_px:
            self.aspect = info.height_px / info.width_px

    def observe(self) -> Generator[Observation, None, None]:
        """The records."""
        for pose in self._poses:
            yield Observation(pose)

    def pose_at(self, index: int) -> Pose:
        """One record; see `Driver.pose_at`."""
        if not 0 <= index < len(self._poses):
            raise InvalidVideoError(f"{self.path} has poses 0 to {len(self._poses) - 1}, but not {index}")
        return _with_face(self._poses[index], self.path, index)


class VideoDriver(Driver):
    """A video, tracked by MediaPipe frame by frame."""

    def __init__(self, path: Path, tracker: TrackerConfig | None = None) -> None:
        """Opens the file once to see whether it can be read.

        Raises:
            InvalidVideoError: it is missing or holds no readable video.
        """
        from avatar_client.capture import VideoSource

        self.path = self.sound = path
        self._tracker = tracker
        with VideoSource(path) as video:
            self.fps = video.fps or DEFAULT_FPS
            self.aspect = video.height_px / video.width_px
        self.count = frame_count(path, self.fps)

    def observe(self) -> Generator[Observation, None, None]:
        """The frames with their poses."""
        from avatar_client.capture import VideoSource
        from avatar_client.tracking import PoseTracker

        with VideoSource(self.path) as video, PoseTracker(self._tracker) as tracker:
            for image, timestamp_us in video:
                started = time.perf_counter_ns()
                pose = tracker.track(image, timestamp_us)
                yield Observation(pose, image, (time.perf_counter_ns() - started) // 1000)

    def pose_at(self, index: int) -> Pose:
        """One frame, tracked on its own; see `Driver.pose_at`."""
        from avatar_client.capture import VideoSource
        from avatar_client.tracking import PoseTracker

        frames = -1
        with VideoSource(self.path) as video, PoseTracker(self._tracker) as tracker:
            for frames, (image, timestamp_us) in enumerate(video):
                if frames == index:
                    return _with_face(tracker.track(image, timestamp_us), self.path, index)
        raise InvalidVideoError(f"{self.path} has frames 0 to {frames}, but not {index}")


def open_driver(path: Path, tracker: TrackerConfig | None = None) -> Driver:
    """The driver in a `.poses` file or a video.

    Raises:
        InvalidVideoError: the file is missing or cannot be read.
    """
    if not path.is_file():
        raise InvalidVideoError(f"the driver {path} does not exist; give a video or a .poses file")
    return PoseFileDriver(path) if path.suffix.lower() == ".poses" else VideoDriver(path, tracker)


def _with_face(pose: Pose, path: Path, index: int) -> Pose:
    if not pose.face_present:
        raise InvalidVideoError(f"no face is seen in frame {index} of {path}, so it cannot be the neutral pose")
    return pose


def frame_count(path: Path, fps: float) -> int:
    """How many frames a video has, as far as its header tells; 0 = unknown."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.frames or round((container.duration or 0) / av.time_base * fps)
