"""What a step is given, packed so that it reaches the device in three copies: frames or motions, floats, whole numbers.

C latent channels, H rows and W columns of a latent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from avatar_sdk.model.inputs import noise
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.runtime.torch.positions import Positions
from avatar_sdk.runtime.torch.video.source import TURNS, Pictured, Source

Rope = tuple[Tensor, Tensor]


class Given(NamedTuple):
    """Inputs of a step on the device.

    Attributes:
        noise: (1, C, H, W) float32.
        own, sink: (cos, sin) of the frame and of the sink, (1, 1, T, K) each.
        slot: () int64, where the ring is written.
        seen: () int64, how many keys may be seen.
    """

    noise: Tensor
    own: Rope
    sink: Rope
    slot: Tensor
    seen: Tensor


class VideoFeed:
    """Page-locked on the host if the device is a GPU, at fixed addresses on the device.

    Attributes:
        source: of the frames, or of what they are drawn from.
    """

    def __init__(self, config: GeneratorConfig, source: Source, device: str) -> None:
        self._config, self.source = config, source
        self._positions = Positions(config, device)
        self._sizes = (int(np.prod(config.latent_shape)), *(4 * (self._positions.angles,)))
        pinned = torch.device(device).type == "cuda"

        def pair(*shape: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
            host = torch.zeros(TURNS, *shape, dtype=dtype, pin_memory=pinned)
            return host, torch.zeros(shape, dtype=dtype, device=device)

        self._host_floats, self._floats = pair(sum(self._sizes), dtype=torch.float32)
        self._host_whole, self._whole = pair(2, dtype=torch.int64)
        self._np = tuple(host.numpy() for host in (self._host_floats, self._host_whole))

    def write(
        self, turn: int, pictured: Pictured, eps: NDArray[np.float32], position: int, place: tuple[int, int]
    ) -> None:
        """Fills one turn's page on the host.

        Args:
            turn: which, below `TURNS`.
            pictured: frames or motions, one or four.
            eps: (C, H, W), the noise.
            position: in time, of the rotary embedding.
            place: see `Rings.at`.
        """
        self.source.write(turn, pictured)
        floats, whole = (page[turn] for page in self._np)
        parts: list[ArrayLike] = [eps, *self._positions.halves(position)]
        start = 0
        for part, size in zip(parts, self._sizes, strict=True):
            floats[start : start + size] = np.ravel(part)
            start += size
        whole[:] = place

    def noise(self, seed: int, index: int) -> NDArray[np.float32]:
        """(C, H, W), the same bits as in every runtime."""
        return noise(self._config, seed, index)

    def upload(self, turn: int) -> None:
        """Starts the copies of a page; they are in the device's order."""
        self.source.upload(turn)
        for host, device in (
            (self._host_floats, self._floats),
            (self._host_whole, self._whole),
        ):
            device.copy_(host[turn], non_blocking=True)

    def read(self) -> Given:
        """Takes it apart again on the device."""
        parts = self._floats[None].split(self._sizes, 1)
        own, sink = self._positions.tables(parts[1:])
        slot, seen = self._whole.unbind(0)
        return Given(parts[0].view(1, *self._config.latent_shape), own, sink, slot, seen)
