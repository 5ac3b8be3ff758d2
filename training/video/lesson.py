"""A batch of whole pictures, latent by latent: the first is one frame, every other four.

B clips, L latents, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

import numpy as np
import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor

from avatar_sdk.model.video.config import FRAMES
from avatar_sdk.model.video.streaming import encode_portrait
from training.data.batches import Batch, frames_of, there_and_back
from training.scene import Part, Scene
from training.video.student import VideoStudent


def latents_of(frames: int) -> int:
    """How many latents so many frames are.

    Raises:
        InvalidConfigError: no whole number.
    """
    if frames < 1 or (frames - 1) % FRAMES:
        nearest = 1 + FRAMES * max(1, round((frames - 1) / FRAMES))
        raise InvalidConfigError(
            f"{frames} frames are no whole number of latents: the first is one frame, every other {FRAMES}; "
            f"the nearest is {nearest}",
            field="frames",
        )
    return 1 + (frames - 1) // FRAMES


class PictureLesson:
    """See `Lesson`. The truth goes through the frozen encoder; so does the warp, unless a stem learns to read it."""

    def __init__(self, student: VideoStudent, batch: Batch) -> None:
        """Raises InvalidConfigError: the frames are no whole number of latents."""
        self._student, self._batch = student, batch
        self._frames = batch.truth_BFCHW.shape[1]
        self.steps = latents_of(self._frames)
        rows, _, _, height_px, width_px = batch.truth_BFCHW.shape
        self._truth, self._warp = (student.encoder.start(rows, height_px, width_px) for _ in range(2))
        self.scene = Scene(self._portrait(), student.text_1SD)
        self._known: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._next = 0

    def part(self, start: int, end: int) -> Part:
        """See `Lesson.part`. Latents before `start` are forgotten, so memory does not grow with a rollout."""
        while self._next < end:
            self._known[self._next] = self._encode(self._next)
            self._next += 1
        self._known = {place: known for place, known in self._known.items() if place >= start}
        latents = range(start, end)
        guides = [self._planes(k) if (warp := self._known[k][1]) is None else warp for k in latents]
        frames = frames_of(self._batch, self._places(*latents))
        return Part(torch.stack([self._known[k][0] for k in latents], 1), torch.stack(guides, 1), frames)

    @property
    def _channels(self) -> int | None:
        """Planes of the guide that a stem reads; None = there is no stem."""
        stem = self._student.config.codec.stem
        return None if stem is None else stem.frame_channels

    @torch.no_grad()
    def _portrait(self) -> Tensor:
        """What the conditioner reads of the portrait at rest."""
        rest, encoder = self._batch.reference_BCHW, self._student.encoder
        if self._channels is None:
            return encode_portrait(encoder, self._unit(rest[:, :3])).float()
        return (rest[:, None, : self._channels] / 255).expand(-1, FRAMES, -1, -1, -1)

    @torch.no_grad()
    def _encode(self, latent: int) -> tuple[Tensor, Tensor | None]:
        """A latent of the truth and, without a stem, of the warp."""
        encoder, places = self._student.encoder, self._places(latent)
        encode = encoder.later if latent else encoder.first
        true = encode(self._unit(self._batch.truth_BFCHW[:, places]), self._truth).float()
        if self._channels is not None:
            return true, None
        return true, encode(self._unit(self._batch.guide_BFCHW[:, places, :3]), self._warp).float()

    def _planes(self, latent: int) -> Tensor:
        """(B, 4, C, H, W) in [0, 1]; the first frame of all counts four times."""
        return (self._batch.guide_BFCHW[:, self._places(latent), : self._channels] / 255).expand(-1, FRAMES, -1, -1, -1)

    def _places(self, *latents: int) -> Tensor:
        """Frame numbers in the batch, which is run forth and back beyond its end."""
        spans = [np.arange(FRAMES * k - FRAMES + 1, FRAMES * k + 1) if k else np.zeros(1, np.int64) for k in latents]
        places = there_and_back(self._frames, np.concatenate(spans))
        return torch.from_numpy(places).to(self._batch.truth_BFCHW.device)

    def _unit(self, pixels: Tensor) -> Tensor:
        """Bytes as numbers in [0, 1], of the type the encoder computes in."""
        return pixels.to(next(self._student.encoder.parameters()).dtype) / 255
