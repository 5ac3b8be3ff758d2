"""Feeds a virtual camera without holding up whoever makes the frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import cv2
import numpy as np
from avatar_client.errors import CameraError, InvalidConfigError
from numpy.typing import NDArray

from avatar_sdk.pacing import Latest
from avatar_sdk.virtual_camera.device import open_device

REPEAT_S: Final = 0.5
"""Without a new frame for this long the last one is sent again: some apps take a silent camera for a broken one."""


@dataclass(frozen=True)
class VirtualCameraConfig:
    """What apps see.

    Attributes:
        device: `/dev/video10`, "OBS Virtual Camera" …; None = the first there is.
        width_px, height_px: size of its picture; frames of another shape are shown whole, with black at the sides.
            Unit: pixels.
        fps: told to apps. Unit: frames per second.

    Raises:
        InvalidConfigError: a size is odd or out of range.
    """

    device: str | None = None
    width_px: int = 512
    height_px: int = 512
    fps: float = 24.0

    def __post_init__(self) -> None:
        for name in ("width_px", "height_px"):
            if getattr(self, name) % 2 or not 64 <= getattr(self, name) <= 2048:
                raise InvalidConfigError(
                    f"virtual camera {name} is {getattr(self, name)}; it must be even and in [64, 2048]", field=name
                )


class VirtualCamera:
    """One virtual camera. A thread of its own sends the newest frame; older ones are dropped and counted.

    Frames are sent as they are: apps mirror what they show to the user by themselves.

    >>> with VirtualCamera() as camera:
    ...     camera.send(image)

    Attributes:
        device: its name.
        sent: new frames so far.
    """

    def __init__(self, config: VirtualCameraConfig | None = None, on_sent: Callable[[int], None] | None = None) -> None:
        """Opens the device. `on_sent` is called on the thread with the `tag` of each new frame that has gone out.

        Raises:
            MissingDependencyError: pyvirtualcam is not installed.
            CameraError: there is no such device.
        """
        self.config = config = config or VirtualCameraConfig()
        self._camera: Any = open_device(config.width_px, config.height_px, config.fps, config.device)
        self.device = str(self._camera.device)
        self.sent = 0
        self._on_sent = on_sent
        self._latest: Latest[tuple[NDArray[np.uint8], int]] = Latest()
        self._changed = threading.Condition()
        self._closed = False
        self._error: Exception | None = None
        self._canvas = np.zeros((config.height_px, config.width_px, 3), np.uint8)
        self._thread = threading.Thread(target=self._run, name="virtual camera", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were sent."""
        return self._latest.dropped

    def send(self, image: NDArray[np.uint8], tag: int = 0) -> None:
        """Shows a frame, (H, W, 3) uint8 RGB, from now on; never waits.

        Raises:
            CameraError: the device has failed.
        """
        if self._error is not None:
            raise CameraError(
                f"the virtual camera {self.device} failed ({self._error}); is its module or OBS still there?"
            ) from self._error
        with self._changed:
            self._latest.put((image, tag))
            self._changed.notify()

    def close(self) -> None:
        """Frees the device. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        shown = False
        try:
            while True:
                with self._changed:
                    if not self._latest and not self._closed:
                        self._changed.wait(REPEAT_S)
                    if self._closed:
                        return
                    taken = self._latest.take()
                if taken is not None:
                    self._draw(taken[0])
                    shown = True
                if not shown:
                    continue
                self._camera.send(self._canvas)
                if taken is not None:
                    self.sent += 1
                    if self._on_sent is not None:
                        self._on_sent(taken[1])
        except (RuntimeError, OSError, ValueError) as error:  # what its backends raise when a device goes away
            self._error = error
        finally:
            self._camera.close()

    def _draw(self, image: NDArray[np.uint8]) -> None:
        """Puts the frame whole into the middle of the picture."""
        height, width = self._canvas.shape[:2]
        if image.shape == self._canvas.shape:
            self._canvas[:] = image
            return
        scale = min(width / image.shape[1], height / image.shape[0])
        w, h = round(image.shape[1] * scale), round(image.shape[0] * scale)
        x, y = (width - w) // 2, (height - h) // 2
        cv2.resize(image, (w, h), dst=self._canvas[y : y + h, x : x + w], interpolation=cv2.INTER_LINEAR)
