"""Rotary tables whose temporal half comes from the host, in float64, and whose spatial half stays on the device.

B rows, T tokens, K head width.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.model.inputs import ROPE_BASE, rope, rope_split, sink_frame
from avatar_sdk.model.presets import GeneratorConfig


class Positions:
    """The same bits as `model.inputs.rope` makes, of which a step uploads only what changes.

    Attributes:
        angles: numbers of one temporal half.
    """

    def __init__(self, config: GeneratorConfig, device: str) -> None:
        self._config = config
        time = rope_split(config.head_dim)[0]
        self.angles = time // 2
        self._frequency = ROPE_BASE ** (-np.arange(0, time, 2, dtype=np.float64) / time)
        self._spatial = [torch.tensor(part[:, time:], device=device) for part in rope(config, 0)]

    def halves(self, frame: int) -> list[NDArray[np.float64]]:
        """Cos and sin of the frame's temporal angles, then of its sink's, (angles,) each."""
        own, sink = (place * self._frequency for place in (float(frame), float(sink_frame(self._config, frame))))
        return [np.cos(own), np.sin(own), np.cos(sink), np.sin(sink)]

    def tables(self, halves: tuple[Tensor, ...]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(cos, sin) of the frame and of its sink, (B, 1, T, K) each, from `halves` (B, angles) on the device."""
        own_cos, own_sin, sink_cos, sink_sin = halves
        own = self._table(own_cos, 0), self._table(own_sin, 1)
        return own, (self._table(sink_cos, 0), self._table(sink_sin, 1))

    def _table(self, half_BN: Tensor, part: int) -> Tensor:
        batch, tokens = len(half_BN), self._config.tokens
        time = half_BN[:, None, None, :, None].expand(-1, -1, tokens, -1, 2).flatten(3)
        return torch.cat([time, self._spatial[part].expand(batch, 1, -1, -1)], 3)
