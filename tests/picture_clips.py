"""Whole pictures for the tests of video generators: drawn people in the middle of a small wide frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data import ShardWriter
from training.data.batches import Batch, single, stack
from training.data.clip import Clip
from training.drawn_face import drawn_clip

WIDTH_PX, HEIGHT_PX = 48, 32
"""As the generators of `video_models` are made for."""
FRAMES = 9
"""Three latents."""


def picture_clip(person: int, frames: int = FRAMES) -> Clip:
    """A drawn person between two walls."""
    small = drawn_clip(person, frames, HEIGHT_PX)
    beside = (WIDTH_PX - HEIGHT_PX) // 2

    def widened(planes: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
        walls = [(0, 0)] * planes.ndim
        walls[columns] = (beside, beside)
        return np.pad(planes, walls, mode="edge")

    return Clip(
        small.name,
        widened(small.truth, 2),
        widened(small.warp, 2),
        widened(small.maps, 3),
        widened(small.gate, 2),
        widened(small.reference, 2),
        small.info,
    )


def picture_batch(clips: int = 2, frames: int = FRAMES, first: int = 0) -> Batch:
    """A batch of them."""
    return stack([single(picture_clip(first + row, frames)) for row in range(clips)])


def picture_shards(folder: Path, people: int = 2, frames: int = FRAMES) -> Path:
    """A data set of them."""
    with ShardWriter(folder, {"source": "drawn", "picture": [WIDTH_PX, HEIGHT_PX]}) as writer:
        for person in range(people):
            writer.add(picture_clip(person, frames))
    return folder
