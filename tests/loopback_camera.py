"""A virtual camera without a kernel module, by pyvirtualcam's own way to add backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="needs the extra [virtualcam]")


class LoopbackCamera:
    """What apps would read. Device names are `loop0`, and any other that begins so."""

    opened: list[LoopbackCamera] = []  # noqa: RUF012 # pyvirtualcam makes the objects; this is where tests find them

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: Any) -> None:
        if device is not None and not device.startswith("loop"):
            raise RuntimeError(f"{device} is none of mine")
        self.shape, self.fps, self._device = (height, width, 3), fps, device or "loop0"
        self.frames: list[NDArray[np.uint8]] = []
        self.closed = self.broken = False
        LoopbackCamera.opened.append(self)

    def send(self, frame: NDArray[np.uint8]) -> None:
        if self.broken:
            raise RuntimeError("device was unplugged")
        self.frames.append(frame.reshape(self.shape).copy())

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> list[LoopbackCamera]:
    """The cameras that are opened during the test."""
    from pyvirtualcam import camera

    monkeypatch.setattr(camera, "BACKENDS", {})
    pyvirtualcam.register_backend("loopback", LoopbackCamera)
    monkeypatch.setattr(LoopbackCamera, "opened", [])
    return LoopbackCamera.opened
