"""Where the warped frames that a step is conditioned on come from: from the host, or drawn on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import torch
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.model.video.config import FRAMES
from avatar_sdk.model.video_presets import Resolution
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait

TURNS: Final = 2
"""Steps that may be under way: one is computed while the one before is decoded or fetched."""
Pixels = NDArray[np.uint8]
Pictured = Pixels | Sequence[Motion]
"""The frames of a step: (F, H, W, C) uint8 that were warped before, or the motions to warp the portrait by."""


class Source(Protocol):
    """Fills the frames of a step; page-locked on the host if the device is a GPU, at fixed addresses on the device.

    Attributes:
        frames: (4, H, W, C) uint8 on the device, RGB and what else the condition is made of; a stream's first step has
            only the first.
    """

    frames: Tensor

    def begin(self, portrait: Pixels | Portrait) -> None:
        """Makes the portrait at rest the first of `frames`; nothing may be under way."""

    def check(self, pictured: Pictured, count: int) -> None:
        """Raises InvalidConfigError for what are not `count` frames of this source."""

    def write(self, turn: int, pictured: Pictured) -> None:
        """Fills one turn's page on the host, below `TURNS`."""

    def upload(self, turn: int) -> None:
        """Starts the copy of a page; it is in the device's order."""

    def draw(self, count: int) -> None:
        """Makes the first `count` of `frames` of what was uploaded: static shapes, nothing is read back."""


class HostFrames:
    """Implements `Source`: frames that somebody else has warped."""

    def __init__(self, resolution: Resolution, channels: int, device: str) -> None:
        shape = (FRAMES, resolution.height_px, resolution.width_px, channels)
        pinned = torch.device(device).type == "cuda"
        self._host = torch.zeros(TURNS, *shape, dtype=torch.uint8, pin_memory=pinned)
        self._host_np = self._host.numpy()
        self.frames = torch.zeros(shape, dtype=torch.uint8, device=device)

    def begin(self, portrait: Pixels | Portrait) -> None:
        """The portrait at rest as a warped frame: (H, W, C) uint8.

        Raises:
            InvalidConfigError: it has another size.
        """
        assert isinstance(portrait, np.ndarray), "a stream without a warp of its own begins with a warped frame"
        self.check(portrait[None], 1)
        self.frames[0].copy_(torch.from_numpy(portrait))

    def check(self, pictured: Pictured, count: int) -> None:
        """Refuses frames of another number, shape or type.

        Raises:
            InvalidConfigError: with both.
        """
        assert isinstance(pictured, np.ndarray), "a stream without a warp of its own takes warped frames"
        wanted = (count, *self.frames.shape[1:])
        if pictured.shape != wanted or pictured.dtype != np.uint8:
            raise InvalidConfigError(
                f"the frames are {pictured.dtype} {list(pictured.shape)}; this step takes uint8 {list(wanted)} "
                "(frames, height, width, channels)",
                field="frames",
            )

    def write(self, turn: int, pictured: Pictured) -> None:
        """Frames (F, H, W, C), one or four."""
        assert isinstance(pictured, np.ndarray), "`check` comes first"
        self._host_np[turn, : len(pictured)] = pictured

    def upload(self, turn: int) -> None:
        """All four frames: a megabyte each."""
        self.frames.copy_(self._host[turn], non_blocking=True)

    def draw(self, count: int) -> None:
        """They are drawn."""
