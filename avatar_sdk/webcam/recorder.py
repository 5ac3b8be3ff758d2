"""Records what is shown without holding it up."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.errors import AvatarError
from numpy.typing import NDArray

from avatar_sdk.video import VideoConfig, VideoWriter

WAITING: Final = 8
"""Frames that may wait for the encoder; more are dropped."""


class Recorder:
    """Writes frames into a video on a thread of its own."""

    def __init__(self, path: Path) -> None:
        """Starts the file.

        Raises:
            InvalidVideoError: it cannot be written.
        """
        self.path = path
        self.dropped = 0
        self._video = VideoWriter(path, VideoConfig(preset="ultrafast"))
        self._frames: queue.Queue[tuple[NDArray[np.uint8], int] | None] = queue.Queue(WAITING)
        self._error: AvatarError | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def add(self, image: NDArray[np.uint8], timestamp_us: int) -> None:
        """Hands over a frame, (H, W, 3) uint8 RGB; never waits."""
        try:
            self._frames.put_nowait((image, timestamp_us))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Completes the file.

        Raises:
            InvalidVideoError: the disk was full.
        """
        self._frames.put(None)
        self._thread.join()
        if self._error is not None:
            self._video.discard()
            raise self._error
        if self._video.frames:
            self._video.close()
        else:
            self._video.discard()

    def _run(self) -> None:
        while (item := self._frames.get()) is not None:
            if self._error is None:
                try:
                    self._video.write(*item)
                except AvatarError as error:
                    self._error = error
