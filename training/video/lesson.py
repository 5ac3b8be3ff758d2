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
        InvalidConfigError: none, exactly.
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
    """See `Lesson`. The truth goes through the frozen encoder, the warp and its maps become the stem's input."""

    def __init__(self, student: VideoStudent, batch: Batch) -> None:
        """Raises InvalidConfigError: the frames are no whole number of latents."""
        self._student, self._batch = student, batch
        self._frames = batch.truth_BFCHW.shape[1]
        self.steps = latents_of(self._frames)
        rows, _, _, height_px, width_px = batch.truth_BFCHW.shape
        with torch.no_grad():
            self._stream = student.encoder.start(rows, height_px, width_px)
            portrait = encode_portrait(student.encoder, _unit(batch.reference_BCHW[:, :3], self._stream.memories))
        self.scene = Scene(portrait.float(), encoded=True, text_1SD=student.text_1SD)
        self._true: dict[int, Tensor] = {}
        self._next = 0

    def part(self, start: int, end: int) -> Part:
        """See `Lesson.part`. Latents before `start` are forgotten, so memory does not grow with a rollout."""
        while self._next < end:
            self._true[self._next] = self._encode(self._next)
            self._next += 1
        self._true = {place: latent for place, latent in self._true.items() if place >= start}
        guides = [self._guide(place) for place in range(start, end)]
        places = [place for latent in range(start, end) for place in self._places(latent)]
        frames = frames_of(self._batch, self._tensor(places))
        return Part(torch.stack([self._true[k] for k in range(start, end)], 1), torch.stack(guides, 1), frames)

    @torch.no_grad()
    def _encode(self, latent: int) -> Tensor:
        frames = _unit(self._batch.truth_BFCHW[:, self._tensor(self._places(latent))], self._stream.memories)
        encode = self._student.encoder.later if latent else self._student.encoder.first
        return encode(frames, self._stream).float()

    def _guide(self, latent: int) -> Tensor:
        """(B, 4, 11, H, W) in [0, 1]; the first frame of all counts four times."""
        guide = self._batch.guide_BFCHW[:, self._tensor(self._places(latent))] * (1 / 255)
        return guide.expand(-1, FRAMES, -1, -1, -1)

    def _places(self, latent: int) -> list[int]:
        """Frame numbers in the batch, which is run forth and back beyond its end."""
        first = 1 + FRAMES * (latent - 1)
        wanted = np.arange(first, first + FRAMES) if latent else np.zeros(1, np.int64)
        return [int(place) for place in there_and_back(self._frames, wanted)]

    def _tensor(self, places: list[int]) -> Tensor:
        return torch.tensor(places, device=self._batch.truth_BFCHW.device)


def _unit(pixels: Tensor, memories: tuple[Tensor, ...]) -> Tensor:
    """Bytes as numbers in [0, 1], of the type the encoder computes in."""
    return pixels.to(memories[0].dtype) / 255
