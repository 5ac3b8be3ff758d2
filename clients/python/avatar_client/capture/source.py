"""What every source of images has in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avatar_client.errors import AvatarError, MissingDependencyError

Image = NDArray[np.uint8]
Shot = tuple[Image, int]
"""(H, W, 3) uint8 RGB in [0, 255], never mirrored, and its capture time in microseconds."""


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """How a source is opened.

    Attributes:
        width_px: wanted camera width; 0 = the camera's default. Cameras give the nearest they can.
        height_px: the same for the height.
        fps: the same for the rate. Unit: frames per second.
        realtime: a video file plays at its own speed, as a camera would, with times on this machine's clock.
        loop: a video file starts again at its end; its times go on.
    """

    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    realtime: bool = False
    loop: bool = False


class FrameSource(ABC):
    """Images with their capture times.

    Attributes:
        name: camera or file name, for people.
        width_px: width of the images.
        height_px: height of the images.
        fps: nominal rate; 0 = unknown. Unit: frames per second.
        live: whether times are this machine's monotonic clock, so that latency can be told from them.
        dropped: images passed over because newer ones were there first.
    """

    name: str
    width_px: int
    height_px: int
    fps: float
    live: bool = False
    dropped: int = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Shot]: ...

    @abstractmethod
    def close(self) -> None:
        """Frees the device or file. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class LiveSource(FrameSource):
    """A source read by a thread of its own into one slot: whoever takes late gets the newest image."""

    live = True

    def __init__(self, name: str) -> None:
        self._ready = threading.Condition()
        self._shot: Shot | None = None
        self._error: AvatarError | None = None
        self._done = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    @abstractmethod
    def _read(self) -> None:
        """Puts images until there are no more or `_closed` is set."""

    def _run(self) -> None:
        try:
            self._read()
        except AvatarError as error:
            self._error = error
        finally:
            with self._ready:
                self._done = True
                self._ready.notify_all()

    def _put(self, shot: Shot) -> None:
        with self._ready:
            self.dropped += self._shot is not None
            self._shot = shot
            self._ready.notify_all()

    def __iter__(self) -> Iterator[Shot]:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._shot is not None or self._done)
                shot, self._shot = self._shot, None
            if shot is None:
                break
            yield shot
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stops the thread and frees the device or file. Idempotent."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()


def missing_dependency(error: ImportError) -> MissingDependencyError:
    """The typed error for a package of the `webcam` extra that cannot be imported."""
    return MissingDependencyError(f"{error.name} is not installed; pip install 'avatar-client[webcam]'")
