"""Where frames go beside the window: a virtual camera, and OBS's word on how late the microphone must be."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Final, Self

import numpy as np
from avatar_client.clock import monotonic_us
from avatar_client.errors import AvatarError
from numpy.typing import NDArray

from avatar_sdk.virtual_camera import ObsSync, VirtualCamera, VirtualCameraConfig

MEASURED: Final = 120
"""Frames that the delay is taken from: the last five seconds."""
FEWEST: Final = 5


class Outlet:
    """A virtual camera that measures how late its picture is.

    Attributes:
        camera: the device.
        obs: the OBS source that follows the delay, or None.
    """

    def __init__(self, config: VirtualCameraConfig, obs: ObsSync | None = None) -> None:
        """Opens the device.

        Raises:
            MissingDependencyError: pyvirtualcam is not installed.
            CameraError: there is no such device.
        """
        self.obs = obs
        self._late_us: deque[int] = deque(maxlen=MEASURED)
        self.camera = VirtualCamera(config, self._left)

    @property
    def delay_ms(self) -> float | None:
        """By how much the microphone must be delayed; None until it is known. Unit: milliseconds.

        From a camera image to its avatar in the virtual camera, the median of the last seconds.
        """
        late_us = list(self._late_us)
        return float(np.median(late_us)) / 1000 if len(late_us) >= FEWEST else None

    def show(self, image: NDArray[np.uint8], captured_us: int) -> None:
        """Sends a frame, (H, W, 3) uint8 RGB; `captured_us` is when the image behind it was taken, 0 = not a new one.

        Raises:
            CameraError: the device has failed.
        """
        self.camera.send(image, captured_us)
        delay_ms = self.delay_ms
        if self.obs is not None and delay_ms is not None:
            self.obs.follow(delay_ms)

    def take_trouble(self) -> AvatarError | None:
        """What OBS last refused, once."""
        if self.obs is None:
            return None
        error, self.obs.error = self.obs.error, None
        return error

    def close(self) -> None:
        """Frees the device and puts OBS's offset back. Idempotent.

        Raises:
            AvatarError: OBS is gone.
        """
        self.camera.close()
        if self.obs is not None:
            self.obs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _left(self, captured_us: int) -> None:
        if captured_us:
            self._late_us.append(monotonic_us() - captured_us)
