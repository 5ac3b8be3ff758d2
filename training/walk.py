"""Segments of a student's walk beside the truth, one after the other.

B clips, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avatar_sdk.model.avatar import AvatarModel, one_step
from training.data.batches import Batch, there_and_back
from training.rollout import RolloutConfig, RolloutState, roll, spans
from training.schedule import noise_like
from training.teacher import before, features, teacher_forced, true_latents


@dataclass(frozen=True, eq=False)
class Walk:
    """One segment: what the student made, what is true, and what it was told.

    Attributes:
        fake_BFCHW: latents, with their graph.
        true_BFCHW: latents.
        batch: its frames.
        guide_BFCHW: of the batch, in [-1, 1].
        new: frames before this one are the end of the last segment, without graph.
    """

    fake_BFCHW: Tensor
    true_BFCHW: Tensor
    batch: Batch
    guide_BFCHW: Tensor
    new: int


def student_walk(model: AvatarModel, batch: Batch, config: RolloutConfig, rng: torch.Generator) -> Iterator[Walk]:
    """Segments of a rollout; longer than the batch, it runs the clips forth and back.

    A segment's graph must have been used before the next is asked for: then its past is detached.
    """
    state = RolloutState.start(model.generator, len(batch.truth_BFCHW), batch.truth_BFCHW.device)
    past: Tensor | None = None
    for start, new, end in spans(config):
        part = _part(batch, start, end)
        true, guide = true_latents(model, part), part.guide()
        sinks = model.generator.sink(model.conditioner(part.reference()))
        condition = features(model.conditioner, guide[:, new - start :])
        fake = roll(model.generator, condition, noise_like(true[:, new - start :], rng), sinks, state, config)
        if past is not None and new > start:
            fake = torch.cat([past[:, start - new :], fake], 1)
        yield Walk(fake, true, part, guide, new - start)
        past = fake.detach()
        state.detach()


def teacher_walk(model: AvatarModel, batch: Batch, config: RolloutConfig, rng: torch.Generator) -> Iterator[Walk]:
    """The same segments, but every frame is made after the true one before it, a whole segment in one forward."""
    for start, _, end in spans(config):
        part = _part(batch, start, end)
        true = true_latents(model, part)
        noise, t_B = noise_like(true, rng), torch.ones(len(true), device=true.device)
        fake = one_step(noise, teacher_forced(model, part, noise, before(true), t_B))
        yield Walk(fake, true, part, part.guide(), 0)


def frames_of(batch: Batch, places: slice | Tensor) -> Batch:
    """Some of a batch's frames."""
    return Batch(
        batch.truth_BFCHW[:, places], batch.guide_BFCHW[:, places], batch.gate_BFHW[:, places], batch.reference_BCHW
    )


def _part(batch: Batch, start: int, end: int) -> Batch:
    """Frames of a rollout, which may be longer than the batch."""
    places = there_and_back(batch.truth_BFCHW.shape[1], np.arange(start, end))
    return frames_of(batch, torch.from_numpy(places).to(batch.truth_BFCHW.device))
