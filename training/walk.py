"""Segments of a student's walk beside the truth, one after the other.

B clips, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from avatar_sdk.model.avatar import one_step
from training.data.batches import Batch
from training.lesson import Student, lesson_of
from training.rollout import RolloutConfig, RolloutState, roll, spans
from training.scene import Scene
from training.schedule import noise_like
from training.teacher import before, features, teacher_forced


@dataclass(frozen=True, eq=False)
class Walk:
    """One segment: what the student made, what is true, and what it was told.

    Attributes:
        fake_BFCHW: latents, with their graph.
        true_BFCHW: latents.
        batch: its frames.
        guide: (B, F, ...), what the conditioner read.
        scene: who is shown.
        new: frames before this one are the end of the last segment, without graph.
    """

    fake_BFCHW: Tensor
    true_BFCHW: Tensor
    batch: Batch
    guide: Tensor
    scene: Scene
    new: int


def student_walk(model: Student, batch: Batch, config: RolloutConfig, rng: torch.Generator) -> Iterator[Walk]:
    """Segments of a rollout; longer than the batch, it runs the clips forth and back.

    A segment's graph must have been used before the next is asked for: then its past is detached.
    """
    lesson = lesson_of(model, batch)
    state = RolloutState.start(model.generator, len(batch.truth_BFCHW), batch.truth_BFCHW.device)
    past: Tensor | None = None
    for start, new, end in spans(config):
        true, guide, frames = lesson.part(start, end)
        sinks, prompts = lesson.scene.read(model.conditioner, model.generator)
        condition = features(model.conditioner, guide[:, new - start :])
        noise = noise_like(true[:, new - start :], rng)
        fake = roll(model.generator, condition, noise, sinks, state, config, prompts)
        if past is not None and new > start:
            fake = torch.cat([past[:, start - new :], fake], 1)
        yield Walk(fake, true, frames, guide, lesson.scene, new - start)
        past = fake.detach()
        state.detach()


def teacher_walk(model: Student, batch: Batch, config: RolloutConfig, rng: torch.Generator) -> Iterator[Walk]:
    """The same segments, but every frame is made after the true one before it, a whole segment in one forward."""
    lesson = lesson_of(model, batch)
    for start, _, end in spans(config):
        true, guide, frames = lesson.part(start, end)
        noise, t_B = noise_like(true, rng), torch.ones(len(true), device=true.device)
        v = teacher_forced(model.conditioner, model.generator, lesson.scene, guide, noise, before(true), t_B)
        yield Walk(one_step(noise, v), true, frames, guide, lesson.scene, 0)
