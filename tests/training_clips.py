"""Small batches for the tests of training."""

from __future__ import annotations

from training.data.batches import Batch, single, stack
from training.drawn_face import drawn_clip


def drawn_batch(clips: int = 2, frames: int = 4, seed: int = 0) -> Batch:
    """People who are only drawn."""
    return stack([single(drawn_clip(seed + row, frames)) for row in range(clips)])
