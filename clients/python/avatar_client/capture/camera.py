"""Live cameras, by number or name."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from avatar_client.capture.source import CaptureConfig, LiveSource, missing_dependency
from avatar_client.clock import monotonic_us
from avatar_client.errors import CameraError

_SILENCE_S: Final = 5.0
"""A camera that gives no image for this long is taken or broken."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine.

    Attributes:
        index: what `open_source` takes, as text.
        name: what its maker calls it.
        path: the system's name for it, "" when there is none.
    """

    index: int
    name: str
    path: str = ""


def list_cameras() -> list[Camera]:
    """The cameras of this machine, by index.

    Raises:
        MissingDependencyError: the `webcam` extra is not installed.
    """
    try:
        import cv2
        from cv2_enumerate_cameras import enumerate_cameras, supported_backends
    except ImportError as error:
        raise missing_dependency(error) from error
    backend = _camera_backend()
    if backend not in supported_backends:
        backend = cv2.CAP_ANY
    found = {info.index: Camera(info.index, info.name, info.path or "") for info in enumerate_cameras(backend)}
    return [found[index] for index in sorted(found)]


def find_camera(spec: str) -> Camera:
    """The camera with this index, or the one whose name contains this text.

    Raises:
        CameraError: there is none, or several; the message lists what exists.
    """
    cameras = list_cameras()
    if spec.isdecimal():
        matches = [camera for camera in cameras if camera.index == int(spec)]
    else:
        matches = [camera for camera in cameras if spec.casefold() in camera.name.casefold()]
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(f"{camera.index}: {camera.name}" for camera in matches or cameras)
    if matches:
        raise CameraError(f"several cameras match {spec!r}: {listed}; choose one by its number")
    if cameras:
        raise CameraError(f"no camera matches {spec!r}; there are {listed}")
    raise CameraError(f"camera {spec!r} was asked for, but this machine shows none: {_advice()}")


class CameraSource(LiveSource):
    """A live camera; its images carry the monotonic time at which they were grabbed."""

    def __init__(
        self, camera: Camera, config: CaptureConfig | None = None, open_device: Callable[[int], Any] | None = None
    ) -> None:
        """Opens the camera and waits for its first image; `open_device(index)` stands in for `cv2.VideoCapture`.

        Raises:
            CameraError: it cannot be opened, or stays silent; the message says what may be wrong.
        """
        super().__init__(camera.name)
        self.camera = camera
        self._device = (open_device or _open_device)(camera.index)
        if not self._device.isOpened():
            raise CameraError(f"camera {camera.index} ({camera.name}) cannot be opened: {_advice()}")
        _configure(self._device, config or CaptureConfig())
        self._thread.start()
        with self._ready:
            self._ready.wait_for(lambda: self._shot is not None or self._done, _SILENCE_S)
            shot = self._shot
        if shot is None:
            self.close()
            raise self._error or CameraError(
                f"camera {camera.index} ({camera.name}) gave no image for {_SILENCE_S:g} s: {_advice()}"
            )
        import cv2

        self.name = camera.name
        self.height_px, self.width_px = shot[0].shape[:2]
        self.fps = float(self._device.get(cv2.CAP_PROP_FPS))

    def _read(self) -> None:
        import cv2

        silent_since = time.monotonic()
        while not self._closed.is_set():
            grabbed = self._device.grab()
            timestamp_us = monotonic_us()
            read, image_bgr = self._device.retrieve() if grabbed else (False, None)
            if read and image_bgr is not None:
                silent_since = time.monotonic()
                image_rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                self._put((image_rgb, timestamp_us))
            elif time.monotonic() - silent_since > _SILENCE_S / 2:
                raise CameraError(f"camera {self.camera.index} ({self.camera.name}) gives no images: {_advice()}")
            else:
                self._closed.wait(0.02)

    def close(self) -> None:
        """Stops reading and frees the camera. Idempotent."""
        super().close()
        self._device.release()


def _camera_backend() -> int:
    import cv2

    backends = {"Linux": cv2.CAP_V4L2, "Windows": cv2.CAP_MSMF, "Darwin": cv2.CAP_AVFOUNDATION}
    return backends.get(platform.system(), cv2.CAP_ANY)


def _open_device(index: int) -> Any:
    import cv2

    return cv2.VideoCapture(index, _camera_backend())


def _configure(device: Any, config: CaptureConfig) -> None:
    import cv2

    device.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a queue in the driver would only add delay
    wanted = {
        cv2.CAP_PROP_FRAME_WIDTH: config.width_px,
        cv2.CAP_PROP_FRAME_HEIGHT: config.height_px,
        cv2.CAP_PROP_FPS: config.fps,
    }
    for key, value in wanted.items():
        if value:
            device.set(key, value)


def _advice() -> str:
    permit = {
        "Linux": "check that your user may read /dev/video* (group `video`)",
        "Darwin": "allow the terminal in System Settings → Privacy → Camera",
        "Windows": "allow desktop apps in Settings → Privacy → Camera",
    }.get(platform.system(), "check the system's camera permission")
    return f"connect it, close other programs that use it, {permit}; a video file can stand in for it"
