"""The warp of a large generator's frames on the device: a portrait once, then motions of some kilobytes a latent.

The frames of a latent are rows of one slot. B rows, C channels, H rows and W columns of a frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor

from avatar_sdk.model.video.config import FRAMES
from avatar_sdk.model.video_presets import Resolution
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.portrait.framing import margin_px
from avatar_sdk.runtime.guide import at_rest
from avatar_sdk.runtime.torch import raster
from avatar_sdk.runtime.torch.motions import MOTION, is_usable, motion_rows, numbers_of
from avatar_sdk.runtime.torch.overlay import Overlay
from avatar_sdk.runtime.torch.photos import MOST_TRIANGLES, Photos
from avatar_sdk.runtime.torch.video.source import TURNS, Pictured, Pixels
from avatar_sdk.runtime.torch.warp import BatchWarp
from avatar_sdk.warp import POSE_MAPS, Warp, tables_of
from avatar_sdk.warp.picture import OUTSIDE

RGB: Final = 3
PIXEL_BYTES: Final = 48
"""Of a tile's pixel while triangles are drawn: place, depth, barycentrics. An allowance."""


class DeviceWarp:
    """Implements `Source`: given motions, it draws the warped portrait, and the pose maps that are asked for, over it.

    It is the same on every device. On a CPU the warp in NumPy takes a third of the time or less, but a CPU cannot run a
    large generator live, and so what tests run is what a GPU runs.
    """

    def __init__(self, resolution: Resolution, channels: int, device: str) -> None:
        """`channels`: of a frame, 3 for RGB and one for each pose map, in the order of `POSE_MAPS`."""
        height, width = resolution.height_px, resolution.width_px
        self.frames = torch.zeros(FRAMES, height, width, channels, dtype=torch.uint8, device=device)
        self._photos = Photos(1, height, width, margin_px(width, height), device)
        self._warp = BatchWarp(self._photos)
        self._overlay = Overlay(height, width, device)
        self._maps = slice(RGB, channels)
        beyond = [float(OUTSIDE.get(name, 0)) for name in POSE_MAPS[: channels - RGB]]
        self._beyond_C11 = torch.tensor(beyond, device=device)[:, None, None]
        self._slots = torch.zeros(FRAMES, dtype=torch.int64, device=device)
        pinned = torch.device(device).type == "cuda"
        self._host = torch.zeros(TURNS, FRAMES, sum(MOTION), pin_memory=pinned)
        self._host_np = self._host.numpy()
        self._floats = torch.zeros(FRAMES, sum(MOTION), device=device)
        self._last: Motion | None = None

    def begin(self, portrait: Pixels | Portrait) -> None:
        """Computes what is known of a portrait on the CPU, copies it, and draws the portrait at rest.

        Raises:
            InvalidConfigError: the portrait has another size.
        """
        assert isinstance(portrait, Portrait), "a stream that warps begins with a portrait"
        self._photos.check(portrait)
        self._photos.put(0, tables_of(Warp(portrait)))
        self._last = at_rest(portrait)
        self.write(0, [self._last] * FRAMES)  # all four, since capturing draws them
        self.upload(0)
        self.draw(1)

    def check(self, pictured: Pictured, count: int) -> None:
        """Refuses another number of motions.

        Raises:
            InvalidConfigError: with both.
        """
        if len(pictured) != count:
            raise InvalidConfigError(f"{len(pictured)} motions were given; this step takes {count}", field="frames")

    def write(self, turn: int, pictured: Pictured) -> None:
        """Motions, one or four. One with a number that is not finite, or out of all reason, repeats the last."""
        assert not isinstance(pictured, np.ndarray), "a stream that warps takes motions"
        for row, motion in zip(self._host_np[turn], pictured, strict=False):
            if self._last is None or is_usable(motion):
                self._last = motion
            row[:] = np.concatenate([np.ravel(part) for part in numbers_of(self._last)])

    def upload(self, turn: int) -> None:
        """All four motions."""
        self._floats.copy_(self._host[turn], non_blocking=True)

    @torch.inference_mode()
    def draw(self, count: int) -> None:
        """Mutates `frames`."""
        motion, slot_B = motion_rows(self._floats[:count]), self._slots[:count]
        if self.frames.shape[-1] == RGB:
            planes_BCHW = self._warp.pictures(motion, slot_B)
        else:
            warped = self._warp.step(motion, slot_B)
            maps = self._laid_over(warped.crop.guide[:, self._maps], warped.crop.affine)
            planes_BCHW = torch.cat([warped.image, maps], 1)
        self.frames[:count].copy_(planes_BCHW.permute(0, 2, 3, 1))

    def _laid_over(self, maps_BCSS: Tensor, affine_B23: Tensor) -> Tensor:
        """(B, C, H, W) whole numbers in [0, 255]: `maps_on_picture`."""
        laid = self._overlay.lay(maps_BCSS - self._beyond_C11, affine_B23)
        return (laid + self._beyond_C11).round().clamp(0, 255)


def portrait_bytes(resolution: Resolution) -> int:
    """What is held of one portrait; counted on shapes."""
    height, width = resolution.height_px, resolution.width_px
    return Photos(1, height, width, margin_px(width, height), "meta").bytes


def drawing_bytes(resolution: Resolution) -> int:
    """What drawing the frames of a latent works in; an estimate."""
    tiles = raster.capacity(resolution.height_px, resolution.width_px, MOST_TRIANGLES)
    return FRAMES * tiles * raster.TILE**2 * PIXEL_BYTES
