"""The recipe in miniature: drawn people, a network for small pictures, and the stages before the last on them.

What the toy and the ablation begin with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.presets import PRESETS, ModelConfig
from training.data import Shards, ShardWriter
from training.data.batches import Batch, BatchConfig, Batches, single, stack
from training.data.clip import Clip
from training.drawn_face import drawn_clip, drawn_name
from training.run import MODEL, RunConfig, RunResult, train
from training.stages.adapt import AdaptConfig, AdaptStage
from training.stages.codec import CodecStage, CodecStageConfig
from training.stages.distill import DistillConfig, DistillStage
from training.stages.stage import Stage
from training.state import INITIAL

MODEL_CONFIG: Final = ModelConfig(
    "toy",
    replace(PRESETS["test"].generator, dim=48, ffn_dim=96),
    replace(PRESETS["test"].codec, crop_px=64, channels=(24, 16, 16, 8), condition_channels=(16, 16)),
)
AVERAGE: Final = 0.95
"""Decay of the averaged weights: runs are short."""
WARM_UP: Final = 10


@dataclass(frozen=True)
class Cast:
    """Drawn people.

    Attributes:
        people: how many.
        frames: of each.
        first: number of the first; the same number is always the same person.
        face_every: the pose maps tell the face in every so many frames, see `drawn_clip`.
    """

    people: int
    frames: int
    first: int = 0
    face_every: int | None = 1


def draw(folder: Path, cast: Cast) -> Shards:
    """Draws those who are not in the folder yet.

    Raises:
        DataError: the folder cannot be written, or holds others.
    """
    settings = {"source": "drawn", **vars(cast)}
    with ShardWriter(folder, settings) as writer:
        for person in range(cast.people):
            if drawn_name(cast.first + person) not in writer.names:
                writer.add(_clip(cast, person))
    return Shards(folder)


def strangers(cast: Cast) -> Batch:
    """Those who are never stored: for measuring, over walks longer than a stored clip may be."""
    return stack([single(_clip(cast, person)) for person in range(cast.people)])


def _clip(cast: Cast, person: int) -> Clip:
    return drawn_clip(cast.first + person, cast.frames, MODEL_CONFIG.codec.crop_px, cast.face_every)


def begin(folder: Path, stage: str, seed: int) -> tuple[AvatarModel, tuple[str, ...]]:
    """The model as the stage before has left it; it is kept, as a discriminator may begin with it."""
    begun = folder / stage / INITIAL
    if not begun.is_file():
        if (folder / MODEL).is_file():
            model, header = checkpoint.load(folder / MODEL)
            checkpoint.save(begun, model, header.stages)
        else:
            checkpoint.save(begun, AvatarModel.fresh(MODEL_CONFIG, seed))
    model, header = checkpoint.load(begun)
    return model.train(), header.stages


def early_stage(name: str, model: AvatarModel, *, forget: float = 0.5) -> Stage:
    """A stage before the last, with rates for runs of about a hundred steps.

    Args:
        name: "codec", "adapt" or "distill".
        model: is trained.
        forget: see `AdaptConfig`.
    """
    if name == "codec":
        return CodecStage(model, CodecStageConfig(lr=4e-3, window_px=MODEL_CONFIG.codec.crop_px, ema=AVERAGE))
    if name == "adapt":
        return AdaptStage(model, AdaptConfig(frames=6, lr=3e-3, forget=forget, ema=AVERAGE))
    assert name == "distill", name
    return DistillStage(model, DistillConfig(frames=6, lr=3e-4, ema=AVERAGE))


def practise(
    stage: Stage, people: Shards, clips: int, folder: Path, config: RunConfig, stages: tuple[str, ...]
) -> RunResult:
    """Trains on plain batches: no mirrors, no other colours. Raises as `train` does."""
    plain = BatchConfig(clips, stage.frames, colour=0, flip=False, reuse=1, seed=config.seed)
    return train(stage, Batches([people], plain), folder, replace(config, log_every=1, warm_up=WARM_UP), stages)
