"""Stage 2: the diffusion model learns to arrive in one step; blurred, but a good beginning for stage 3.

B clips, F frames, C channels, H rows, W columns. Source: AAPT, arXiv 2506.09350, §3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.batches import Batch
from training.draws import per_row
from training.lesson import Lesson, Student, lesson_of
from training.losses import consistency, latent_huber, mix
from training.ranks import ALONE, Ranks
from training.scene import Part
from training.schedule import DISTILL_STEPS, SHIFT, fixed_times, noise_like
from training.teacher import before, teacher_forced
from training.trainee import PARTS, Product, Trainee


@dataclass(frozen=True)
class DistillConfig:
    """How one step is learned.

    Attributes:
        frames: per clip.
        steps: fixed times between picture and noise; neighbours should arrive at the same picture.
        lr: of AdamW.
        weight_decay: of AdamW.
        shift: how far times lean towards noise.
        parts: dotted names of the modules that learn.
        ema: decay of the averaged weights; targets come from the weights themselves.
    """

    frames: int = 16
    steps: int = DISTILL_STEPS
    lr: float = 2e-4
    weight_decay: float = 0.01
    shift: float = SHIFT
    parts: tuple[str, ...] = PARTS
    ema: float = 0.998


class DistillStage:
    """Improved consistency training with teacher forcing and no guidance."""

    name = "distill"

    def __init__(self, model: Student, config: DistillConfig, ranks: Ranks = ALONE) -> None:
        self.model, self.config = model, config
        self.frames = config.frames
        self._trainee = Trainee(
            model,
            config.parts,
            lambda weights: torch.optim.AdamW(
                weights, config.lr, (0.9, 0.99), weight_decay=config.weight_decay, fused=True
            ),
            config.ema,
            ranks,
        )
        self.networks: Mapping[str, nn.Module] = self._trainee.networks
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {"generator": self._trainee.optimiser}

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Tensor]:
        """One update. "latent" in the log is how far the arrival is from the truth."""
        lesson = lesson_of(self.model, batch)
        part = lesson.part(0, lesson.steps)
        latent = part.true_BFCHW
        noise = noise_like(latent, rng)
        steps = self.config.steps
        times = fixed_times(steps, self.config.shift, latent.device)
        place_B = per_row(
            len(latent), rng, lambda n: torch.randint(1, steps + 1, (n,), generator=rng, device=latent.device)
        )
        late_B, early_B = times[place_B], times[place_B - 1]
        self._trainee.begin()
        student = self._picture(lesson, part, mix(latent, noise, late_B), late_B)
        with torch.no_grad():
            target = self._picture(lesson, part, mix(latent, noise, early_B), early_B)
        loss = consistency(student, target)
        loss.backward()
        return {
            "loss": loss.detach(),
            "latent": latent_huber(student, latent).detach(),
            "gradient": self._trainee.update(),
        }

    def product(self) -> Product:
        """The model with averaged weights."""
        return self._trainee.product()

    def _picture(self, lesson: Lesson, part: Part, noisy: Tensor, t_B: Tensor) -> Tensor:
        """x0 = x_t − t·v, which is x_t itself at t = 0."""
        recycled, model = before(part.true_BFCHW), self.model
        v = teacher_forced(model.conditioner, model.generator, lesson.scene, part.guide, noisy, recycled, t_B)
        return noisy - t_B.view(-1, 1, 1, 1, 1) * v
