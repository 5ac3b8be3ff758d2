"""The codec: an encoder that sees what the warp gets wrong, a decoder that puts it right.

B clips, F frames, C channels, H rows, W columns. First reconstruction, then, from `adversarial_from` on, a patch
discriminator beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.checkpoint import CODEC_STAGE
from avatar_sdk.model.codec import Encoder
from training.data.batches import Batch
from training.ema import Average
from training.losses import penalty, relativistic
from training.patch_discriminator import PatchDiscriminator
from training.pixel_losses import composite, gradient_loss, region_weights, stay_on_warp, weighted_l1
from training.ranks import ALONE, Ranks
from training.schedule import noise_like, uniform_times
from training.trainee import LONGEST_GRADIENT, clip_gradient
from training.windows import Window, face_windows

LAST_LAYER: Final = 0.05
"""Learning rate of the decoder's last layer against the others'."""
SIGMA: Final = 0.1
"""Deviation of the noise in the discriminator's gradient penalties."""


@dataclass(frozen=True)
class CodecStageConfig:
    """How the codec is trained.

    Attributes:
        lr: of AdamW.
        window_px: side of the window around mouth or eyes that is trained on; a multiple of a latent's pixels.
        gradient_weight: of the multi-scale gradient loss.
        stay_weight: of changing what the warp has right.
        mask_weight: of the square of the mask's logits; a mask that has shut for good learns nothing any more.
        settle: steps over which `stay_weight` and `empty` rise from zero; from the first step on they would win.
        empty: share of rows whose latent is zeroed; their picture should be the warp.
        latent_noise: added to the normalised latent, so that the decoder forgives a generator.
        adversarial_from: step from which the discriminator plays; None = never.
        adversarial_weight: of its loss for the codec.
        penalty: of the discriminator's R1 and R2.
        ema: decay of the averaged weights.
    """

    lr: float = 1e-3
    window_px: int = 128
    gradient_weight: float = 0.5
    stay_weight: float = 0.2
    mask_weight: float = 1e-3
    settle: int = 1500
    empty: float = 0.1
    latent_noise: float = 0.1
    adversarial_from: int | None = None
    adversarial_weight: float = 0.02
    penalty: float = 100.0
    ema: float = 0.998


class CodecStage:
    """Trains `encoder` and `decoder` of a model."""

    name = CODEC_STAGE
    frames = 2

    def __init__(self, model: AvatarModel, config: CodecStageConfig, ranks: Ranks = ALONE) -> None:
        self.model, self.config, self._ranks = model, config, ranks
        self._codec = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
        self._average = Average(self._codec, config.ema)
        self._judge = PatchDiscriminator(guide_channels=3)
        for part in (*self._codec.values(), *self._average.parts(), self._judge):
            ranks.shard(part)
        self.networks: Mapping[str, nn.Module] = {
            "model": model,
            "average": self._average.module,
            "discriminator": self._judge,
        }
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "codec": torch.optim.AdamW(self._groups(), config.lr, betas=(0.9, 0.99), weight_decay=0.01),
            "discriminator": torch.optim.Adam(self._judge.parameters(), config.lr / 4, betas=(0.0, 0.9)),
        }

    def _groups(self) -> list[dict[str, Any]]:
        """The decoder's last layer begins at zero and speaks in pixels: Adam's equal steps are too long for it."""
        last = list(self.model.decoder.last.parameters())
        rest = [p for p in self._codec.parameters() if all(p is not q for q in last)]
        return [{"params": rest}, {"params": last, "lr": LAST_LAYER * self.config.lr}]

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Tensor]:
        """One update of the codec and, in the second phase, one of the discriminator. Mutates both."""
        window = face_windows(batch, self.config.window_px, rng)
        guide, truth = window.guide, window.truth
        rising = min(1.0, step / max(1, self.config.settle))
        picture, mask, latent, moments, kept = self._reconstruct(window, rising * self.config.empty, rng)
        weight = region_weights(guide)
        target = torch.where(kept, truth, guide[:, :, :3])
        colour = weighted_l1(picture, target, weight)
        edges = gradient_loss(picture, target, weight)
        stay = stay_on_warp(picture, guide, target)
        shut = mask.square().mean()
        config = self.config
        loss = colour + config.gradient_weight * edges + rising * config.stay_weight * stay + config.mask_weight * shut
        metrics = {"l1": colour, "edges": edges, "stay": stay, "mask": shut, "latent": latent.square().mean().sqrt()}
        metrics["warp_l1"] = weighted_l1(guide[:, :, :3], target, weight)
        if self.config.adversarial_from is not None and step >= self.config.adversarial_from:
            metrics["judge"] = self._judge_step(picture.detach(), target, guide, rng)
            fake, real = (self._logits(p, guide) for p in (picture, target))
            metrics["game"] = relativistic(fake, real.detach())
            loss = loss + self.config.adversarial_weight * metrics["game"]
        optimiser = self.optimisers["codec"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        clip_gradient(self._codec, LONGEST_GRADIENT)
        optimiser.step()
        _track(self.model.encoder, *moments)
        self._average.update(self._codec)
        return {"loss": loss.detach(), **{name: value.detach() for name, value in metrics.items()}}

    def product(self) -> AvatarModel:
        """The model with averaged codec weights."""
        return self._average.applied(self.model, self._ranks)

    def _reconstruct(
        self, window: Window, empty: float, rng: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor], Tensor]:
        """Picture (B, F, 3, H, W), mask logits, the encoder's latent and its moments, and which rows kept theirs."""
        encoder, decoder = self.model.encoder, self.model.decoder
        rows, frames = window.truth.shape[:2]
        latent = encoder(window.truth.flatten(0, 1), window.guide[:, :, :3].flatten(0, 1))
        own = latent
        # Normalised by its own batch, the latent gains nothing by growing out of the noise.
        mean, std = self._moments(latent)
        latent = (latent - mean) / std
        noise = noise_like(latent, rng)
        kept = uniform_times(rows, rng).view(-1, 1, 1, 1, 1) >= empty
        noisy = (latent + self.config.latent_noise * noise).unflatten(0, (rows, frames)) * kept
        residual = decoder.clip(noisy, window.guide)
        moments = mean.detach().flatten(), std.detach().flatten()
        return composite(window.guide, window.gate, residual), residual[:, :, 3], own, moments, kept

    def _moments(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation (1, C, 1, 1) of every channel over all ranks."""
        if self._ranks.size == 1:
            mean, std = latent.mean((0, 2, 3), keepdim=True), latent.std((0, 2, 3), keepdim=True)
        else:
            mean = self._ranks.mean(latent.mean((0, 2, 3), keepdim=True))
            count = self._ranks.size * latent[:, 0].numel()
            variance = self._ranks.mean((latent - mean).square().mean((0, 2, 3), keepdim=True))
            std = (variance * (count / (count - 1))).sqrt()
        return mean, std.clamp_min(1e-3)

    def _logits(self, picture: Tensor, guide: Tensor) -> Tensor:
        return torch.as_tensor(self._judge(picture.flatten(0, 1), guide[:, :, :3].flatten(0, 1)))

    def _judge_step(self, picture: Tensor, truth: Tensor, guide: Tensor, rng: torch.Generator) -> Tensor:
        """One update of the discriminator."""
        fake, real = self._logits(picture, guide), self._logits(truth, guide)
        smooth = self._smoothness(picture, fake, guide, rng) + self._smoothness(truth, real, guide, rng)
        loss = relativistic(real, fake) + self.config.penalty * smooth
        optimiser = self.optimisers["discriminator"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    def _smoothness(self, picture: Tensor, logits: Tensor, guide: Tensor, rng: torch.Generator) -> Tensor:
        return penalty(logits, self._logits(picture + SIGMA * noise_like(picture, rng), guide))


def _track(encoder: Encoder, mean: Tensor, std: Tensor, rate: float = 0.05) -> None:
    """Moves the encoder's mean and deviation towards this batch's, (C,) each. Mutates its buffers.

    The latent that comes in is normalised with what is stored, so at the goal its mean is 0 and its deviation 1. The
    decoder takes normalised latents as they are: were its own scale to follow, its input would never rest.
    """
    encoder.mean.add_(rate * mean * encoder.std)
    encoder.std.mul_(std**rate)
