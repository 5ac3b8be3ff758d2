"""What a tick is given: motions, noise, positions and masks, packed so that they reach the device in two copies.

B rows of a bucket, N window, C latent channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from avatar_sdk.model.inputs import noise, slot_bias
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.motion import Motion
from avatar_sdk.runtime.torch.geometry import MotionRows
from avatar_sdk.runtime.torch.motions import MOTION, motion_rows, numbers_of
from avatar_sdk.runtime.torch.positions import Positions

Floats = NDArray[np.float32]


class PositionRows(NamedTuple):
    """Where in time the rows are.

    Attributes:
        noise: (B, C, grid, grid).
        own, sink: (cos, sin) of the frame and of the sink, (B, 1, T, K) each.
        bias: (B, N + 2), for sink, ring slots and current frame: 0 = seen.
    """

    noise: Tensor
    own: tuple[Tensor, Tensor]
    sink: tuple[Tensor, Tensor]
    bias: Tensor


class Feed:
    """Inputs of a tick: page-locked on the host if the device is a GPU, at a fixed address on the device.

    Attributes:
        floats: (rows, numbers) float32 on the device.
        slots: (rows, 2) int64 on the device: the session's slot, and the ring slot its frame goes to.
    """

    def __init__(self, config: GeneratorConfig, rows: int, device: str) -> None:
        self._config = config
        self._positions = Positions(config, device)
        latent = config.latent_channels * config.tokens
        self._sizes = (sum(MOTION), latent, *(4 * (self._positions.angles,)), config.window + 2)
        self._ends = np.cumsum((*MOTION, *self._sizes[1:]))
        pinned = torch.device(device).type == "cuda"
        self._host_floats = torch.zeros(rows, int(self._ends[-1]), pin_memory=pinned)
        self._host_slots = torch.zeros(rows, 2, dtype=torch.int64, pin_memory=pinned)
        self._floats_np, self._slots_np = self._host_floats.numpy(), self._host_slots.numpy()
        self.floats = torch.zeros(self._host_floats.shape, device=device)
        self.slots = torch.zeros(self._host_slots.shape, dtype=torch.int64, device=device)

    def write(self, row: int, slot: int, motion: Motion, seed: int, frame: int) -> None:
        """Fills a row on the host."""
        config = self._config
        parts: tuple[ArrayLike, ...] = (
            *numbers_of(motion),
            noise(config, seed, frame),
            *self._positions.halves(frame),
            slot_bias(config, frame),
        )
        target, start = self._floats_np[row], 0
        for part, end in zip(parts, self._ends, strict=True):
            target[start:end] = np.ravel(part)
            start = end
        self._slots_np[row] = slot, frame % config.window

    def upload(self, rows: int) -> None:
        """Starts the copies of the first `rows`; they are in the device's order."""
        self.floats[:rows].copy_(self._host_floats[:rows], non_blocking=True)
        self.slots[:rows].copy_(self._host_slots[:rows], non_blocking=True)

    def read(self, floats_BN: Tensor) -> tuple[MotionRows, PositionRows]:
        """Takes the rows on the device apart again."""
        config = self._config
        parts = floats_BN.split(self._sizes, 1)
        eps = parts[1].unflatten(1, (config.latent_channels, config.grid, config.grid))
        return motion_rows(parts[0]), PositionRows(eps, *self._positions.tables(parts[2:6]), parts[6])
