"""Training batches: which clips, which frames and which colours is a function of seed and step alone.

B clips, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.model.conditioner import guide_from_bytes
from training.data.clip import Clip
from training.data.shards import Shards
from training.errors import DataError


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips of one length.

    Attributes:
        truth_BFCHW: (B, F, 3, H, W) uint8 RGB, what the camera saw; 256×256 where clips are crops.
        guide_BFCHW: (B, F, 11, H, W) uint8, RGB of the warp, then the pose maps.
        gate_BFHW: (B, F, H, W) uint8, how much of a residual may pass.
        reference_BCHW: (B, 11, H, W) uint8, the guide of the portrait at rest.
    """

    truth_BFCHW: Tensor
    guide_BFCHW: Tensor
    gate_BFHW: Tensor
    reference_BCHW: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def truth(self) -> Tensor:
        """(B, F, 3, H, W) float32 in [-1, 1]."""
        return guide_from_bytes(self.truth_BFCHW)

    def guide(self) -> Tensor:
        """(B, F, 11, H, W) float32 in [-1, 1]; its first three channels are the warp's RGB."""
        return guide_from_bytes(self.guide_BFCHW)

    def gate(self) -> Tensor:
        """(B, F, 1, H, W) float32 in [0, 1]."""
        return self.gate_BFHW.float().unsqueeze(2) / 255

    def reference(self) -> Tensor:
        """(B, 11, H, W) float32 in [-1, 1]."""
        return guide_from_bytes(self.reference_BCHW)


@dataclass(frozen=True)
class BatchConfig:
    """How batches are drawn.

    Attributes:
        clips: per batch.
        frames: consecutive frames per clip; shorter clips are played forth and back.
        strides: every so many frames of a clip are taken, one of these at random: slower and faster motion.
        colour: strength of the shared random change of brightness, contrast, tint and saturation; 0 = none.
        blur_px: largest deviation of a shared blur, as of small or badly focused faces; half of the clips get some.
        flip: whether half of the clips are mirrored.
        reuse: a clip that was read stays for so many steps, each time with other frames and colours; reading is slow.
        seed: the same seed gives the same batches.
    """

    clips: int = 4
    frames: int = 8
    strides: tuple[int, ...] = (1,)
    colour: float = 0.25
    blur_px: float = 1.2
    flip: bool = True
    reuse: int = 8
    seed: int = 0


class Batches:
    """Draws batches from one or more data sets; `batch(step)` is the same whenever it is asked for."""

    def __init__(self, folders: Sequence[Shards], config: BatchConfig, rank: int = 0, ranks: int = 1) -> None:
        """`rank` of `ranks` draws its own part of every batch; `config.clips` counts all of them.

        Raises:
            DataError: the clips do not divide among the ranks.
        """
        if config.clips % ranks:
            raise DataError(f"a batch of {config.clips} clips does not divide among {ranks} ranks")
        self._folders = tuple(folders)
        self._index = [(folder, i) for folder in self._folders for i in range(len(folder))]
        self._config = config
        per_rank = config.clips // ranks
        self._own = range(rank * per_rank, (rank + 1) * per_rank)
        self._read: OrderedDict[int, Clip] = OrderedDict()

    def batch(self, step: int) -> Batch:
        """The batch of a step.

        Raises:
            DataError: a shard is missing or damaged.
        """
        return stack([self._draw(step, row) for row in self._own])

    def stream(self, first: int) -> Iterator[Batch]:
        """The batches of steps `first`, `first + 1`, …; the next one is read while one is used."""
        with ThreadPoolExecutor(1, "batches") as reader:
            coming = reader.submit(self.batch, first)
            try:
                while True:
                    ready = coming.result()
                    first += 1
                    coming = reader.submit(self.batch, first)
                    yield ready
            finally:
                coming.cancel()

    def _draw(self, step: int, row: int) -> Batch:
        config = self._config
        # Rows change their clip in turn, so that every step reads about as much.
        turn = (step * config.clips + row * config.reuse) // (config.clips * config.reuse)
        clip = self._clip(int(np.random.default_rng((config.seed, turn, row)).integers(len(self._index))))
        rng = np.random.default_rng((config.seed, step, row))
        wanted = (config.frames - 1) * int(rng.choice(config.strides)) + 1
        stride = 1 if config.frames == 1 else (wanted - 1) // (config.frames - 1)
        start = int(rng.integers(max(1, len(clip) - wanted + 1)))
        places = there_and_back(len(clip), start + stride * np.arange(config.frames))
        return _augmented(clip, places, config, rng)

    def _clip(self, place: int) -> Clip:
        """Reads a clip, or takes it from those that were read last."""
        clip = self._read.pop(place, None)
        if clip is None:
            folder, index = self._index[place]
            clip = folder[index]
        self._read[place] = clip
        if len(self._read) > len(self._own):
            self._read.popitem(last=False)
        return clip


def there_and_back(length: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frame numbers beyond the last frame run back, those beyond the first forth again."""
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    folded = places % period
    return np.minimum(folded, period - folded)


def single(clip: Clip) -> Batch:
    """A whole clip as a batch of one, unchanged."""
    return _batch(clip, np.arange(len(clip)))


def stack(rows: Sequence[Batch]) -> Batch:
    """Joins batches along their first axis."""
    return Batch(*(torch.cat([getattr(row, f.name) for row in rows]) for f in fields(Batch)))


def frames_of(batch: Batch, places: slice | Tensor) -> Batch:
    """Some of a batch's frames."""
    return Batch(
        batch.truth_BFCHW[:, places], batch.guide_BFCHW[:, places], batch.gate_BFHW[:, places], batch.reference_BCHW
    )


def _batch(clip: Clip, places: NDArray[np.int64]) -> Batch:
    crop = clip.warp[places].transpose(0, 3, 1, 2)
    guide = np.concatenate([crop, clip.maps[places]], 1)
    truth = np.ascontiguousarray(clip.truth[places].transpose(0, 3, 1, 2))
    arrays = (truth, guide, np.ascontiguousarray(clip.gate[places]), clip.reference.copy())
    return Batch(*(torch.from_numpy(array)[None] for array in arrays))


def _augmented(clip: Clip, places: NDArray[np.int64], config: BatchConfig, rng: np.random.Generator) -> Batch:
    """Mirrors a clip, blurs it and changes its colours, truth, warp and reference alike."""
    batch = _batch(clip, places)
    if config.flip and rng.random() < 0.5:
        batch = Batch(*(getattr(batch, f.name).flip(-1) for f in fields(batch)))
    blur_px = rng.uniform(0.3, config.blur_px) if config.blur_px and rng.random() < 0.5 else 0.0
    table = _colour_table(rng, config.colour) if config.colour else None
    for frames in (batch.truth_BFCHW[0], batch.guide_BFCHW[0, :, :3], batch.reference_BCHW[:, :3]):
        for planes in frames.numpy():
            for channel, plane in enumerate(planes):
                if blur_px:
                    cv2.GaussianBlur(plane, (0, 0), blur_px, dst=plane)
                if table is not None:
                    cv2.LUT(plane, table[channel], dst=plane)
    return batch


def _colour_table(rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    """(3, 256): grey level → grey level for each channel; gamma, gain and a slight tint."""
    level = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0, 0.5 * strength))
    gain = np.exp(rng.normal(0, 0.5 * strength) + rng.normal(0, 0.2 * strength, 3))
    lift = rng.normal(0, 0.1 * strength)
    curves = np.clip(level**gamma * gain[:, None] + lift, 0, 1)
    return np.asarray(np.rint(255 * curves), np.uint8)
