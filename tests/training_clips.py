"""Small batches, and a network for small pictures, for the tests of training."""

from __future__ import annotations

from dataclasses import replace

from avatar_sdk.model.presets import PRESETS
from training.data.batches import Batch, single, stack
from training.drawn_face import drawn_clip

CONFIG = replace(
    PRESETS["test"],
    codec=replace(PRESETS["test"].codec, crop_px=64, channels=(16, 16, 8, 8), condition_channels=(8, 8)),
)
"""The preset `test` for crops of 64 pixels."""


def drawn_batch(clips: int = 2, frames: int = 4, seed: int = 0) -> Batch:
    """People who are only drawn."""
    return stack([single(drawn_clip(seed + row, frames, CONFIG.codec.crop_px)) for row in range(clips)])
