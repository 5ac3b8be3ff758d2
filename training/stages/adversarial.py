"""Stage 3: the student walks on from its own frames, and a discriminator says whether one can tell.

B clips, F frames, C channels, H rows, W columns. Source: AAPT, arXiv 2506.09350, §3.3. Beside it, since poses and
pictures come in pairs, reconstruction of latents and of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
from training.data.batches import Batch, frames_of
from training.discriminator import Discriminator, Kind
from training.face_reader import FaceReader, misread, unlike
from training.lesson import Student
from training.losses import latent_huber, penalty, relativistic
from training.pixel_losses import (
    composite,
    evened,
    gradient_loss,
    harm,
    motion_loss,
    region_weights,
    stay_on_warp,
    texture_loss,
    weighted_l1,
)
from training.ranks import ALONE, Ranks
from training.rollout import RolloutConfig, spans
from training.schedule import noise_like, uniform_times
from training.stages.codec import LAST_LAYER
from training.trainee import PARTS, Product, Trainee, branches
from training.walk import Walk, student_walk, teacher_walk
from training.windows import Window, face_windows


@dataclass(frozen=True)
class AdversarialConfig:
    """How the game is played.

    Attributes:
        frames: per clip that is read; longer rollouts run it forth and back.
        rollout: how far the student walks, in steps of its generator.
        discriminator: "causal" has a logit per frame, "bidirectional" one per clip.
        teacher_forced: whether the student is given true frames instead of its own; drifts, for comparison only.
        lr: of the generator.
        judge_lr: of the discriminator.
        game_weight: of the discriminator's opinion; 0 = reconstruction only, no discriminator is trained.
        penalty: λ of the approximated R1 and R2.
        sigma: of the noise within them.
        latent_weight: of the paired latents' Huber distance.
        pixel_weight: of the paired pictures' distance.
        gradient_weight: of edges within that.
        stay_weight: of changing the warp where it is right, within that.
        harm_weight: of being further from the truth than the warp, within that.
        texture_weight: of how much detail there is, within that.
        motion_weight: of changes from frame to frame, within that; needs two `pixel_frames`.
        reading_weight: of how far off MediaPipe sees lips, lids and irises, within that; 0 = it is not asked.
        likeness_weight: of the features it sees them by, within that.
        read_every: of the decoded frames, so many-th are read.
        pixel_frames: consecutive frames of each segment that are decoded; 0 = none. Only the `lite` family can.
        window_px: side of the window around mouth or eyes that is decoded; a multiple of 32.
        parts: dotted names of the modules that learn; with "decoder" it learns from the pictures too.
        ema: decay of the averaged weights.
    """

    frames: int = 32
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    discriminator: Kind = "causal"
    teacher_forced: bool = False
    lr: float = 1e-4
    judge_lr: float = 1e-4
    game_weight: float = 0.1
    penalty: float = 100.0
    sigma: float = 0.1
    latent_weight: float = 1.0
    pixel_weight: float = 1.0
    gradient_weight: float = 0.7
    stay_weight: float = 0.5
    harm_weight: float = 0.5
    texture_weight: float = 2.0
    motion_weight: float = 0.5
    reading_weight: float = 0.0
    likeness_weight: float = 0.0
    read_every: int = 4
    pixel_frames: int = 3
    window_px: int = 128
    parts: tuple[str, ...] = PARTS
    ema: float = 0.998


class AdversarialStage:
    """R3GAN between the student's rollout and the truth."""

    name = "adversarial"

    def __init__(
        self,
        model: Student,
        judge: Discriminator | None,
        config: AdversarialConfig,
        ranks: Ranks = ALONE,
        reader: FaceReader | None = None,
    ) -> None:
        """`judge` is best begun from the weights of stage 1; without a game none is needed, nor a `reader` unweighted.

        Raises:
            InvalidConfigError: the model has none of the parts that are to learn.
        """
        assert judge is not None or not config.game_weight, "a game takes two"
        assert reader is not None or not (config.reading_weight or config.likeness_weight), "who is to read?"
        self.model, self.config, self.judge, self._reader = model, config, judge, reader
        self.frames = config.frames
        self._trainee = Trainee(model, config.parts, self._optimiser, config.ema, ranks)
        self.networks: Mapping[str, nn.Module] = self._trainee.networks
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {"generator": self._trainee.optimiser}
        self._judge_weights: list[nn.Parameter] = []
        if judge is not None:
            ranks.shard(judge)
            learns = branches(judge, judge.parts)
            self._judge_weights = list(learns.parameters())
            optimiser = torch.optim.Adam(self._judge_weights, config.judge_lr, (0.0, 0.9), fused=True)
            self.networks = {**self.networks, "discriminator": learns}
            self.optimisers = {**self.optimisers, "discriminator": optimiser}

    def _optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Momentum helps reconstruction and hurts the game; the decoder's last layer speaks in pixels: it is slow."""
        last, learning = set[nn.Parameter](), list(weights)
        if isinstance(self.model, AvatarModel):
            last = set(self.model.decoder.last.parameters())
        groups: list[dict[str, Any]] = [{"params": [w for w in learning if w not in last]}]
        if slow := [w for w in learning if w in last]:
            groups.append({"params": slow, "lr": LAST_LAYER * self.config.lr})
        if not self.config.game_weight:
            return torch.optim.AdamW(groups, self.config.lr, (0.9, 0.99), weight_decay=0.01, fused=True)
        # RMSProp with a decay of 0.9 is Adam without its first moment.
        return torch.optim.Adam(groups, self.config.lr, (0.0, 0.9), fused=True)

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Tensor]:
        """One update of both players. Gradients of all segments are gathered; only one segment is held at a time."""
        self._trainee.begin()
        if self.judge is not None:
            self.optimisers["discriminator"].zero_grad(set_to_none=True)
        segments = list(spans(self.config.rollout))
        walks = teacher_walk if self.config.teacher_forced else student_walk
        seen: list[Mapping[str, Tensor]] = []
        for walk in walks(self.model, batch, self.config.rollout, rng):
            judged = self._judge_loss(walk, rng) if self.config.game_weight else {}
            if judged:
                (judged["judge"] / len(segments)).backward()
            self._teach_judge(False)
            played = self._play(walk, rng)
            (played["loss"] / len(segments)).backward()
            self._teach_judge(True)
            seen.append({name: value.detach() for name, value in {**played, **judged}.items()})
        if self.judge is not None:
            self.optimisers["discriminator"].step()
        metrics = {name: torch.stack([one[name] for one in seen]).mean() for name in seen[0]}
        return {**metrics, "gradient": self._trainee.update()}

    def product(self) -> Product:
        """The model with averaged weights."""
        return self._trainee.product()

    def _judge_loss(self, walk: Walk, rng: torch.Generator) -> dict[str, Tensor]:
        """What the discriminator learns from a segment."""
        true, made, sigma = walk.true_BFCHW, walk.fake_BFCHW.detach(), self.config.sigma
        nudged = (x + sigma * noise_like(x, rng) for x in (true, made))
        real, fake, real_nudged, fake_nudged = self._judge(walk, (true, made, *nudged), rng)
        game = relativistic(real, fake)
        smooth = self.config.penalty * (penalty(real, real_nudged) + penalty(fake, fake_nudged))
        return {"judge": game + smooth, "penalty": smooth, "margin": (real - fake).mean()}

    def _judge(self, walk: Walk, latents: Sequence[Tensor], rng: torch.Generator) -> tuple[Tensor, ...]:
        assert self.judge is not None
        t_B = uniform_times(len(walk.true_BFCHW), rng)
        logits: tuple[Tensor, ...] = self.judge(latents, walk.guide, walk.scene, t_B)
        return logits

    def _teach_judge(self, wanted: bool) -> None:
        """Whether the discriminator's weights want gradients; the same from a forward to the end of its backward."""
        # Between forward and backward a split network shows other parameters than those that its optimiser holds.
        for weight in self._judge_weights:
            weight.requires_grad_(wanted)

    def _play(self, walk: Walk, rng: torch.Generator) -> dict[str, Tensor]:
        """What the student learns from a segment."""
        config = self.config
        latent = latent_huber(walk.fake_BFCHW[:, walk.new :], walk.true_BFCHW[:, walk.new :])
        loss, metrics = config.latent_weight * latent, {"latent": latent}
        if config.game_weight:
            fake, real = self._judge(walk, (walk.fake_BFCHW, walk.true_BFCHW), rng)
            metrics["game"] = relativistic(fake, real)
            loss = loss + config.game_weight * metrics["game"]
        if config.pixel_frames:
            pictures = self._picture_losses(walk, rng)
            metrics |= pictures
            weights = {
                "l1": 1.0,
                "edges": config.gradient_weight,
                "texture": config.texture_weight,
                "motion": config.motion_weight,
                "misread": config.reading_weight,
                "unlike": config.likeness_weight,
                "stay": config.stay_weight,
                "harm": config.harm_weight,
            }
            total = torch.stack([weight * pictures[name] for name, weight in weights.items() if weight]).sum()
            loss = loss + config.pixel_weight * total
        return {"loss": loss, **metrics}

    def _picture_losses(self, walk: Walk, rng: torch.Generator) -> dict[str, Tensor]:
        """Decodes a window of a few new frames, after one that only fills the decoder's memory where there is one."""
        assert isinstance(self.model, AvatarModel), "only the crop's decoder may be in the graph"
        made = walk.fake_BFCHW.shape[1]
        count = min(self.config.pixel_frames, made - walk.new)
        first = walk.new + int(torch.randint(made - walk.new - count + 1, (1,), generator=rng, device=rng.device))
        context = min(first, 1)
        at = slice(first - context, first + count)
        seen = frames_of(walk.batch, at)
        window = face_windows(seen, self.config.window_px, rng)
        latent = window.of_latent(walk.fake_BFCHW[:, at], 2 ** len(self.model.config.codec.channels))
        residual = self.model.decoder.clip(latent, window.guide)[:, context:].float()
        guide, truth, gate = (x[:, context:] for x in (window.guide, window.truth, window.gate))
        weight, picture = evened(region_weights(guide), guide, truth), composite(guide, gate, residual)
        return self._read(picture, window, seen, context) | {
            "l1": weighted_l1(picture, truth, weight),
            "edges": gradient_loss(picture, truth, weight),
            "texture": texture_loss(picture, truth, weight),
            "motion": motion_loss(picture, truth, weight) if count > 1 else picture.new_zeros(()),
            "stay": stay_on_warp(picture, guide, truth),
            "harm": harm(picture, truth, guide, weight),
            "warp_l1": weighted_l1(guide[:, :, :3], truth, weight),
        }

    def _read(self, picture: Tensor, window: Window, batch: Batch, context: int) -> dict[str, Tensor]:
        """What MediaPipe makes of some frames, true outside of the window."""
        if self._reader is None:
            return {}
        reader, every = self._reader.to(picture.device), self.config.read_every
        truth = frames_of(batch, slice(context, None, every)).truth()
        made = window.pasted(picture[:, ::every], truth)
        with torch.no_grad():
            true = reader(truth.flatten(0, 1))
        seen = reader(made.flatten(0, 1), true.looks)
        return {"misread": misread(seen, true), "unlike": unlike(seen, true)}
