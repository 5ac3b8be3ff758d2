"""Video files, frame by frame or at their own speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avatar_client.capture.source import FrameSource, Image, LiveSource, Shot, missing_dependency
from avatar_client.clock import monotonic_us
from avatar_client.errors import InvalidVideoError

if TYPE_CHECKING:
    from av.container import InputContainer


class VideoSource(FrameSource):
    """Every frame of a video file, upright, with the file's own times."""

    def __init__(self, path: str | Path, *, loop: bool = False) -> None:
        """Opens the file and decodes its first frame.

        Raises:
            InvalidVideoError: it is missing, no video, or has no readable frame.
        """
        self.path = Path(path)
        self.name = self.path.name
        self._loop = loop
        self._container, self._frames = self._open()
        stream = self._container.streams.video[0]
        self.fps = float(stream.average_rate or stream.guessed_rate or 0)
        first = next(self._frames, None)
        if first is None:
            self.close()
            raise InvalidVideoError(f"{self.path} holds no video frame")
        self._first: Shot | None = first
        self.height_px, self.width_px = first[0].shape[:2]

    def _open(self) -> tuple[InputContainer, Iterator[Shot]]:
        try:
            import av
        except ImportError as error:
            raise missing_dependency(error) from error
        try:
            container = av.open(str(self.path))
        except av.error.FFmpegError as error:
            raise InvalidVideoError(
                f"{self.path} cannot be read as a video: {error.strerror}; give a file that a player can show"
            ) from error
        if not container.streams.video:
            container.close()
            raise InvalidVideoError(f"{self.path} has no video stream")
        return container, self._decode(container)

    def _decode(self, container: InputContainer) -> Iterator[Shot]:
        import av

        last_us = -1
        interval_us = round(1e6 / (self.fps or 25))
        count = 0
        try:
            for frame in container.decode(video=0):
                image: Image = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                if frame.rotation % 360:
                    image = np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
                if frame.pts is None or frame.time_base is None:
                    own_us = last_us + interval_us
                else:
                    own_us = round(frame.pts * frame.time_base * 1_000_000)
                last_us = max(own_us, last_us + 1)  # a damaged file may step back; time does not
                count += 1
                yield image, last_us
        except av.error.FFmpegError as error:
            raise InvalidVideoError(
                f"{self.path} is damaged after frame {count} at {max(last_us, 0) / 1e6:.2f} s: {error.strerror}"
            ) from error

    def __iter__(self) -> Iterator[Shot]:
        offset_us = 0
        while True:
            last_us = 0
            if self._first is not None:
                shot, self._first = self._first, None
                yield shot[0], shot[1] + offset_us
            for image, own_us in self._frames:
                last_us = own_us
                yield image, own_us + offset_us
            if not self._loop:
                return
            offset_us += last_us + round(1e6 / (self.fps or 25))
            self._container.close()
            self._container, self._frames = self._open()

    def close(self) -> None:
        """Closes the file. Idempotent."""
        self._container.close()


class PacedVideoSource(LiveSource):
    """A video file that stands in for a camera: frames come when they are due, with times on this machine's clock."""

    def __init__(self, video: VideoSource) -> None:
        super().__init__(video.name)
        self._video = video
        self.name, self.fps = video.name, video.fps
        self.width_px, self.height_px = video.width_px, video.height_px
        self._thread.start()

    def _read(self) -> None:
        anchor_us: int | None = None
        for image, own_us in self._video:
            anchor_us = anchor_us if anchor_us is not None else monotonic_us() - own_us
            due_us = anchor_us + own_us
            if self._closed.wait(max(0, due_us - monotonic_us()) / 1e6):
                return
            self._put((image, due_us))

    def close(self) -> None:
        """Stops playing and closes the file. Idempotent."""
        super().close()
        self._video.close()
