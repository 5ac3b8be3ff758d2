"""Stage 3: the student walks on from its own frames, and a discriminator says whether one can tell.

B clips, F frames, C channels, H rows, W columns. Source: AAPT, arXiv 2506.09350, §3.3. Beside it, since poses and
pictures come in pairs, reconstruction of latents and of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel, one_step
from training.data.batches import Batch, there_and_back
from training.discriminator import Discriminator, Kind
from training.losses import latent_huber, penalty, relativistic
from training.pixel_losses import composite, gradient_loss, region_weights, stay_on_warp, weighted_l1
from training.rollout import RolloutConfig, RolloutState, roll, spans
from training.schedule import noise_like, uniform_times
from training.teacher import before, features, teacher_forced, true_latents
from training.trainee import Trainee


@dataclass(frozen=True)
class AdversarialConfig:
    """How the game is played.

    Attributes:
        frames: per clip that is read; longer rollouts run it forth and back.
        rollout: how far the student walks.
        discriminator: "causal" has a logit per frame, "bidirectional" one per clip.
        teacher_forced: whether the student is given true frames instead of its own; drifts, for comparison only.
        lr: of the generator.
        judge_lr: of the discriminator.
        game_weight: of the discriminator's opinion.
        penalty: λ of the approximated R1 and R2.
        sigma: of the noise within them.
        latent_weight: of the paired latents' Huber distance.
        pixel_weight: of the paired pictures' distance.
        gradient_weight: of edges within that.
        stay_weight: of changing the warp where it is right, within that.
        pixel_frames: consecutive frames of each segment that are decoded; 0 = none.
        train_decoder: whether the decoder learns from the pictures too.
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
    pixel_frames: int = 3
    train_decoder: bool = False
    ema: float = 0.998


@dataclass(frozen=True, eq=False)
class Walk:
    """One segment: what the student made, what is true, and what it was told.

    Attributes:
        fake_BFCHW: latents, with their graph.
        true_BFCHW: latents.
        batch: its frames.
        new: first frame that the student made in this segment; those before belong to the last one.
    """

    fake_BFCHW: Tensor
    true_BFCHW: Tensor
    batch: Batch
    new: int


class AdversarialStage:
    """R3GAN between the student's rollout and the truth; trains conditioner and generator, if asked the decoder."""

    name = "adversarial"

    def __init__(self, model: AvatarModel, judge: Discriminator, config: AdversarialConfig) -> None:
        """`judge` is best begun from the weights of stage 1."""
        self.model, self.config, self.judge = model, config, judge
        self.frames = config.frames
        parts = ("conditioner", "generator", *(("decoder",) if config.train_decoder else ()))
        # RMSProp with a decay of 0.9 is Adam without its first moment.
        self._trainee = Trainee(
            model, parts, lambda weights: torch.optim.Adam(weights, config.lr, (0.0, 0.9)), config.ema
        )
        self._judge_optimiser = torch.optim.Adam(judge.parameters(), config.judge_lr, (0.0, 0.9))
        self.networks: Mapping[str, nn.Module] = {**self._trainee.networks, "discriminator": judge}
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "generator": self._trainee.optimiser,
            "discriminator": self._judge_optimiser,
        }

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Tensor]:
        """One update of both players. Gradients of all segments are gathered; only one segment is held at a time."""
        self._trainee.begin()
        self._judge_optimiser.zero_grad(set_to_none=True)
        segments = list(spans(self.config.rollout))
        seen: list[Mapping[str, Tensor]] = []
        for walk in self._walk(batch, rng):
            judged = self._judge_loss(walk, rng)
            (judged["judge"] / len(segments)).backward()
            played = self._play(walk, rng)
            (played["loss"] / len(segments)).backward()
            seen.append({name: value.detach() for name, value in {**played, **judged}.items()})
        self._judge_optimiser.step()
        metrics = {name: torch.stack([one[name] for one in seen]).mean() for name in seen[0]}
        return {**metrics, "gradient": self._trainee.update()}

    def product(self) -> AvatarModel:
        """The model with averaged weights."""
        return self._trainee.product()

    def _walk(self, batch: Batch, rng: torch.Generator):  # type: ignore[no-untyped-def]
        """The segments of a rollout; each must have been differentiated before the next is asked for."""
        raise NotImplementedError
