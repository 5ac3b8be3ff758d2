"""Stage 1: a diffusion model that makes a frame after the true frames before it.

B clips, F frames, C channels, H rows, W columns. Source: AAPT, arXiv 2506.09350, §3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.batches import Batch
from training.lesson import Student, lesson_of
from training.losses import flow_matching, mix
from training.ranks import ALONE, Ranks
from training.schedule import SHIFT, noise_like, shift, uniform_times
from training.teacher import before, teacher_forced
from training.trainee import PARTS, Product, Trainee


@dataclass(frozen=True)
class AdaptConfig:
    """How the generator is taught to denoise.

    Attributes:
        frames: per clip.
        lr: of AdamW.
        weight_decay: of AdamW.
        shift: how far times lean towards noise.
        forget: share of clips whose previous frames are hidden. A frame is nearly the one before it, so a network that
            always sees the true one learns to repeat it, and nothing about poses.
        parts: dotted names of the modules that learn.
        ema: decay of the averaged weights.
    """

    frames: int = 16
    lr: float = 5e-4
    weight_decay: float = 0.01
    shift: float = SHIFT
    forget: float = 0.5
    parts: tuple[str, ...] = PARTS
    ema: float = 0.998


class AdaptStage:
    """Flow matching with teacher forcing; the codec stands still."""

    name = "adapt"

    def __init__(self, model: Student, config: AdaptConfig, ranks: Ranks = ALONE) -> None:
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
        """One update."""
        lesson = lesson_of(self.model, batch)
        latent, guide, _ = lesson.part(0, lesson.steps)
        noise = noise_like(latent, rng)
        t_B = shift(uniform_times(len(latent), rng), self.config.shift)
        self._trainee.begin()
        known_B = uniform_times(len(latent), rng) >= self.config.forget
        recycled = before(latent) * known_B.view(-1, 1, 1, 1, 1)
        noisy, model = mix(latent, noise, t_B), self.model
        v = teacher_forced(model.conditioner, model.generator, lesson.scene, guide, noisy, recycled, t_B)
        loss = flow_matching(v, latent, noise)
        loss.backward()
        return {"loss": loss.detach(), "gradient": self._trainee.update()}

    def product(self) -> Product:
        """The model with averaged weights."""
        return self._trainee.product()
