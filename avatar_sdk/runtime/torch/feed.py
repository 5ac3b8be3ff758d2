"""What a tick is given: motions, noise, positions and masks, packed so that they reach the device in two copies.

B rows of a bucket, N window, C latent channels.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.model.inputs import ROPE_BASE, noise, rope, rope_split, sink_frame, slot_bias
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.motion import Motion
from avatar_sdk.runtime.torch.geometry import MotionRows
from avatar_sdk.topology import LANDMARKS

Floats = NDArray[np.float32]

MOTION: Final = (LANDMARKS * 3, 1, 9, 3, 4, 1)
"""Numbers of the fields of `MotionRows`."""


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
        time = rope_split(config.head_dim)[0]
        self._frequency = ROPE_BASE ** (-np.arange(0, time, 2, dtype=np.float64) / time)
        self._spatial = [torch.tensor(part[:, time:], device=device) for part in rope(config, 0)]
        latent = config.latent_channels * config.tokens
        self._sizes = (*MOTION, latent, *(4 * (time // 2,)), config.window + 2)
        self._ends = np.cumsum(self._sizes)
        pinned = torch.device(device).type == "cuda"
        self._host_floats = torch.zeros(rows, int(self._ends[-1]), pin_memory=pinned)
        self._host_slots = torch.zeros(rows, 2, dtype=torch.int64, pin_memory=pinned)
        self._floats_np, self._slots_np = self._host_floats.numpy(), self._host_slots.numpy()
        self.floats = torch.zeros(self._host_floats.shape, device=device)
        self.slots = torch.zeros(self._host_slots.shape, dtype=torch.int64, device=device)

    def write(self, row: int, slot: int, motion: Motion, seed: int, frame: int) -> None:
        """Fills a row on the host."""
        config = self._config
        shoulders = np.zeros((2, 2), np.float32) if motion.shoulders is None else motion.shoulders
        own, sink = (position * self._frequency for position in (float(frame), float(sink_frame(config, frame))))
        parts = (
            motion.landmarks,
            motion.head_scale,
            motion.head_rotation,
            motion.head_translation,
            shoulders,
            float(motion.shoulders is not None),
            noise(config, seed, frame),
            np.cos(own),
            np.sin(own),
            np.cos(sink),
            np.sin(sink),
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
        motion = MotionRows(
            parts[0].unflatten(1, (LANDMARKS, 3)),
            parts[1][:, 0],
            parts[2].unflatten(1, (3, 3)),
            parts[3],
            parts[4].unflatten(1, (2, 2)),
            parts[5][:, 0],
        )
        eps = parts[6].unflatten(1, (config.latent_channels, config.grid, config.grid))
        own, sink = ((self._table(parts[i], 0), self._table(parts[i + 1], 1)) for i in (7, 9))
        return motion, PositionRows(eps, own, sink, parts[11])

    def _table(self, time_BN: Tensor, part: int) -> Tensor:
        """(B, 1, T, K): the time's half of the table, which is all that changes, and the places' half."""
        batch, tokens = len(time_BN), self._config.tokens
        time = time_BN[:, None, None, :, None].expand(-1, -1, tokens, -1, 2).flatten(3)
        return torch.cat([time, self._spatial[part].expand(batch, 1, -1, -1)], 3)
