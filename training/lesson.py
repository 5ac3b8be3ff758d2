"""What a batch is to a generator: one latent after the other, whatever number of frames a latent is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from avatar_sdk.model.avatar import AvatarModel
from training.data.batches import Batch, frames_of, there_and_back
from training.scene import Part, Scene
from training.teacher import true_latents
from training.video.lesson import PictureLesson
from training.video.student import VideoStudent

Student = AvatarModel | VideoStudent
"""Who can be taught by the stages."""


class Lesson(Protocol):
    """A batch, step by step; beyond its end it runs back, and forth again.

    Attributes:
        steps: as many as the batch has without running back.
        scene: who is shown.
    """

    steps: int
    scene: Scene

    def part(self, start: int, end: int) -> Part:
        """Steps `start` to `end`; neither may lie before an earlier call's."""


class CropLesson:
    """A step is a frame: the `lite` family, which works on the crop."""

    def __init__(self, model: AvatarModel, batch: Batch) -> None:
        self._model, self._batch = model, batch
        self.steps = batch.truth_BFCHW.shape[1]
        self.scene = Scene(batch.reference())

    def part(self, start: int, end: int) -> Part:
        """See `Lesson.part`."""
        if (start, end) == (0, self.steps):
            batch = self._batch
        else:
            places = there_and_back(self.steps, np.arange(start, end))
            batch = frames_of(self._batch, torch.from_numpy(places).to(self._batch.truth_BFCHW.device))
        return Part(true_latents(self._model, batch), batch.guide(), batch)


def lesson_of(model: Student, batch: Batch) -> Lesson:
    """The lesson that a batch is for this model."""
    return PictureLesson(model, batch) if isinstance(model, VideoStudent) else CropLesson(model, batch)
