"""What a step is fed beside its condition: noise and positions, the same bits in every runtime. Needs numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.model.presets import GeneratorConfig

Floats = NDArray[np.float32]

MASKED = np.float32(-1e9)
"""Added to the score of a key that may not be seen."""
ROPE_BASE = 10_000.0


def noise(config: GeneratorConfig, seed: int, frame: int) -> Floats:
    """(C, H, W) float32 standard normal, a function of seed and frame index alone."""
    return np.random.Generator(np.random.Philox(key=(seed, frame))).standard_normal(config.latent_shape, np.float32)


def rope_split(head_dim: int) -> tuple[int, int, int]:
    """How many of a head's dimensions carry time, row and column; 128 gives Wan's 44, 42, 42."""
    spatial = 2 * (head_dim // 6)
    return head_dim - 2 * spatial, spatial, spatial


def rope(config: GeneratorConfig, frame: int) -> tuple[Floats, Floats]:
    """Cos and sin (T, head_dim) of the tokens at temporal position `frame`, computed in float64; pairs are adjacent.

    Source: 3-D rotary embedding as in Wan 2.1; positions are absolute and may be negative.
    """
    rows, columns = np.divmod(np.arange(config.tokens), config.grid_shape[1])
    angles = []
    for size, position in zip(rope_split(config.head_dim), (np.full(config.tokens, frame), rows, columns), strict=True):
        frequency = ROPE_BASE ** (-np.arange(0, size, 2, dtype=np.float64) / size)
        angles.append(position.astype(np.float64)[:, None] * frequency)
    angle = np.concatenate(angles, 1).repeat(2, 1)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def sink_frame(config: GeneratorConfig, frame: int) -> int:
    """Temporal position of the reference sink: always just behind the window."""
    return frame - (config.window + 1)


def slot_bias(config: GeneratorConfig, frame: int) -> Floats:
    """(1 + window + 1,) float32 for the sink, the ring's slots and the current frame: 0 = seen, `MASKED` = empty.

    Slot s holds the latest frame before `frame` that is s modulo the window, if there was one.
    """
    slots = np.arange(config.window)
    held = frame - 1 - (frame - 1 - slots) % config.window
    return np.where(np.concatenate([[0], held, [0]]) >= 0, np.float32(0), MASKED)
