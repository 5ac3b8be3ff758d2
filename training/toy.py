"""The whole recipe on a drawn face: codec, adapt, distill, adversarial, and a walk far beyond the training length.

B clips, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

import torch
from torch import Tensor

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from training.data.batches import Batch
from training.discriminator import Discriminator
from training.miniature import Cast, begin, draw, early_stage, practise, strangers
from training.pixel_losses import composite, region_weights
from training.rollout import RolloutConfig
from training.run import LOG, MODEL, RunConfig
from training.setting import judge_model
from training.stages.adversarial import AdversarialConfig, AdversarialStage
from training.stages.stage import Stage
from training.walk import student_walk

EDGE: Final = 0.25
"""Share of a curve that counts as its beginning, and as its end."""
WORST_DRIFT: Final = 1.5
WATCHED: Final = {"codec": "loss", "adapt": "loss", "distill": "loss", "adversarial": "latent"}
"""The metric of every stage that must fall."""


@dataclass(frozen=True)
class ToyConfig:
    """Sizes of the toy.

    Attributes:
        people: drawn for training.
        clip_frames: of each.
        codec_steps: of the codec stage.
        adapt_steps: of stage 1.
        distill_steps: of stage 2.
        adversarial_steps: of stage 3.
        walk: frames of a training rollout.
        times: training lengths that the student walks in the end.
        seed: of everything.
    """

    people: int = 12
    clip_frames: int = 32
    codec_steps: int = 120
    adapt_steps: int = 150
    distill_steps: int = 32
    adversarial_steps: int = 28
    walk: int = 8
    times: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Fall:
    """The watched metric of a stage, averaged over the first and the last steps."""

    stage: str
    metric: str
    first: float
    last: float

    def __bool__(self) -> bool:
        """Whether it fell."""
        return self.last < self.first


@dataclass(frozen=True)
class ToyReport:
    """What the toy shows.

    Attributes:
        falls: one per stage.
        error: weighted distance of the student's pictures to the truth, per training length walked, people unseen.
        warp_error: the same of the warp alone.
        spread: deviation of the student's latents, per training length walked.
    """

    falls: tuple[Fall, ...]
    error: tuple[float, ...]
    warp_error: tuple[float, ...]
    spread: tuple[float, ...]

    @property
    def drift(self) -> float:
        """Error in parts of the warp's error: the last training length against the first; 1 = none."""
        ratio = [error / warp for error, warp in zip(self.error, self.warp_error, strict=True)]
        return ratio[-1] / ratio[0]

    def problems(self) -> list[str]:
        """What should have been otherwise."""
        bad = [f"the {f.metric} of {f.stage} did not fall: {f.first:.4f} → {f.last:.4f}" for f in self.falls if not f]
        if self.drift > WORST_DRIFT:
            bad.append(f"the student drifts: its error grows to {self.drift:.2f} times, beyond {WORST_DRIFT}")
        for error, warp in zip(self.error, self.warp_error, strict=True):
            if error > warp:
                bad.append(f"the student is worse than the warp: {error:.4f} and {warp:.4f}")
        return bad

    def rows(self) -> Iterator[str]:
        """The report as lines of text."""
        for fall in self.falls:
            yield f"{fall.stage:<12} {fall.metric:<7} {fall.first:8.4f} → {fall.last:8.4f}"
        for name in ("error", "warp_error", "spread"):
            values = getattr(self, name)
            yield f"{name.replace('_', ' '):<20} " + "  ".join(f"{value:.4f}" for value in values)
        yield f"{'drift':<20} {self.drift:.3f}"


def toy(folder: Path, config: ToyConfig | None = None) -> ToyReport:
    """Draws people, trains all stages on them in `folder`, and lets the student walk on.

    Raises:
        DataError: the folder cannot be written, or holds another toy.
    """
    config = config or ToyConfig()
    torch.manual_seed(config.seed)
    people = draw(folder / "data", Cast(config.people, config.clip_frames, first=1000 * config.seed))
    falls = []
    for name, clips, steps in (
        ("codec", 6, config.codec_steps),
        ("adapt", 6, config.adapt_steps),
        ("distill", 6, config.distill_steps),
        ("adversarial", 2, config.adversarial_steps),
    ):
        model, stages = begin(folder, name, config.seed)
        last = name == AdversarialStage.name
        stage = _last_stage(model, folder, config) if last else early_stage(name, model)
        practise(stage, people, clips, folder, RunConfig(steps, seed=config.seed), stages)
        falls.append(_fall(folder, name))
    return ToyReport(tuple(falls), *_walk(checkpoint.load(folder / MODEL)[0], config))


def _last_stage(model: AvatarModel, folder: Path, config: ToyConfig) -> Stage:
    judge = Discriminator(judge_model(folder, None, model), "causal")
    walk = RolloutConfig(config.walk, segment=config.walk * 3 // 4, overlap=config.walk // 4)
    return AdversarialStage(model, judge, AdversarialConfig(config.walk, walk, lr=3e-4, ema=0.9))


def _fall(folder: Path, stage: str) -> Fall:
    metric = WATCHED[stage]
    curve = [json.loads(line)[metric] for line in (folder / stage / LOG).read_text().splitlines()]
    edge = max(1, round(EDGE * len(curve)))
    return Fall(stage, metric, fmean(curve[:edge]), fmean(curve[-edge:]))


@torch.no_grad()
def _walk(model: AvatarModel, config: ToyConfig) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Error, the warp's error and spread of latents, each per training length, on people never seen."""
    frames = config.walk * config.times
    batch = strangers(Cast(3, frames, first=1000 * config.seed + 900))
    walk = RolloutConfig(frames, segment=frames, overlap=0)
    (whole,) = student_walk(model, batch, walk, torch.Generator().manual_seed(config.seed))
    picture = composite(whole.guide, batch.gate(), model.decoder.clip(whole.fake_BFCHW, whole.guide))
    return (
        _per_length(_distance(picture, batch), config),
        _per_length(_distance(whole.guide[:, :, :3], batch), config),
        _per_length(whole.fake_BFCHW.std((0, 2, 3, 4)), config),
    )


def _distance(picture_BFCHW: Tensor, batch: Batch) -> Tensor:
    """(F,) weighted distance to the truth, in [-1, 1] units."""
    weight = region_weights(batch.guide())
    return ((picture_BFCHW - batch.truth()).abs() * weight).mean((0, 2, 3, 4))


def _per_length(values_F: Tensor, config: ToyConfig) -> tuple[float, ...]:
    return tuple(float(part.mean()) for part in values_F.unflatten(0, (config.times, config.walk)))
