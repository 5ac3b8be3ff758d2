"""My own avatar: a trained model goes on learning from a person's clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError
from rich.console import Console

from avatar_sdk.model.checkpoint import CODEC_STAGE, GENERATOR_STAGES, read_header
from avatar_sdk.model.presets import ModelConfig
from training.data import Shards
from training.data.batches import BatchConfig, Batches
from training.errors import DataError
from training.evaluate.evaluation import weights_of
from training.finetune.comparison import ComparisonConfig, compare
from training.finetune.heldout import held_out
from training.prepare.config import PrepareConfig
from training.prepare.preparation import Prepared, prepare, quiet_reader
from training.prepare.table import print_report
from training.rollout import RolloutConfig
from training.run import MODEL, RunConfig, RunResult
from training.setting import initial_model, session
from training.stages.adversarial import AdversarialConfig, AdversarialStage
from training.state import INITIAL

DATA: Final = "data"
BEGUN: Final = "finetune.json"
"""Says what a run began with."""


@dataclass(frozen=True)
class FinetuneConfig:
    """How a person is learned.

    Attributes:
        model: as `--model` of the product takes it, or a checkpoint; must be trained.
        held_out: share of each clip, at its end, that is kept for the test. Range: (0, 0.5].
        parts: dotted names of the modules that learn; () = all on CUDA, `light_parts` on a CPU.
        lr: learning rate.
        clips: per batch.
        frames: that the student walks.
        colour: strength of the random change of colours.
        prepare: how clips are cut.
        comparison: what is measured in the end.

    Raises:
        InvalidConfigError: the share is out of range.
    """

    model: str = "lite"
    held_out: float = 0.2
    parts: tuple[str, ...] = ()
    lr: float = 1e-4
    clips: int = 2
    frames: int = 16
    colour: float = 0.1
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)

    def __post_init__(self) -> None:
        if not 0 < self.held_out <= 0.5:
            raise InvalidConfigError(f"the held-out share is {self.held_out:g}; it must be in (0, 0.5]")


@dataclass(frozen=True)
class Finetuned:
    """Where a session has ended.

    Attributes:
        prepared: the clips.
        result: of training; None when preparing was interrupted.
        tested: clips that were held out and compared.
    """

    prepared: Prepared
    result: RunResult | None = None
    tested: int = 0


def trained_weights(model: str) -> Path:
    """The checkpoint of a model that can be adapted.

    Raises:
        InvalidConfigError: there is none, or it has not learned to draw yet.
    """
    path = weights_of(model)
    if path is None:
        raise InvalidConfigError(f"there is no checkpoint behind --model {model}; give lite, or a .safetensors file")
    stages = read_header(path).stages
    if CODEC_STAGE not in stages or not set(GENERATOR_STAGES) & set(stages):
        been = f"has only been through {', '.join(stages)}" if stages else "is untrained"
        raise InvalidConfigError(
            f"{model} {been}; finetune goes on from a model with a trained codec and generator: "
            "give --model the model.safetensors of a run of `codec`, `adapt`, `distill` and `adversarial`"
        )
    return path


def light_parts(config: ModelConfig) -> tuple[str, ...]:
    """What a CPU trains: the generator's last block and the decoder's finer stages.

    With the conditioner the gradient runs back through all blocks, and a step takes half as long again.
    """
    last_block, finest = config.generator.depth - 1, len(config.codec.channels) - 1
    decoder = (f"decoder.blocks.{finest - 1}", f"decoder.up.{finest - 1}", f"decoder.blocks.{finest}", "decoder.last")
    return (f"generator.blocks.{last_block}", "generator.head", *decoder)


def all_parts() -> tuple[str, ...]:
    """Everything but the encoder, which says what the latents mean."""
    return ("conditioner", "generator", "decoder")


def finetune(
    clips: Sequence[Path],
    run: Path,
    config: FinetuneConfig,
    training: RunConfig,
    console: Console,
    photo: Path | None = None,
) -> Finetuned:
    """Prepares, trains, and compares; each goes on where an earlier session has stopped.

    With a `photo` of the same person that one is the portrait; else frames of the clips are.

    Raises:
        InvalidConfigError: the model is not trained, or has no such parts.
        InvalidPortraitError: the photo cannot be used.
        DataError: no clip can be used, or the folder is full or belongs to another model.
        DivergedError: the loss is no longer a number; the last saved state is good.
    """
    weights = trained_weights(config.model)
    _begin(run, weights)
    stage, stages = _stage(run, weights, config, training)
    cutting = replace(config.prepare, share=1 - config.held_out)
    prepared = prepare(clips, run / DATA, cutting, photo=photo)
    print_report(console, prepared.report)
    prepared.check()
    if not prepared.finished:
        return Finetuned(prepared)
    drawn = BatchConfig(config.clips, config.frames, colour=config.colour, flip=False, seed=training.seed)
    result = session(stage, Batches([Shards(run / DATA)], drawn), run, training, stages)
    if result.interrupted or not result.step:
        return Finetuned(prepared, result)
    with quiet_reader() as reader:
        reels = held_out(list(prepared.report.videos.values()), cutting, reader, photo)
    if not reels:
        console.print(f"nothing to test on: the last {config.held_out:.0%} of the clips hold no usable take")
        return Finetuned(prepared, result)
    before = run / AdversarialStage.name / INITIAL
    compare(reels, before, run / MODEL, run, config.comparison, console)
    return Finetuned(prepared, result, len(reels))


def _begin(run: Path, weights: Path) -> None:
    """Notes which model a run is of.

    Raises:
        DataError: it is of another one, or cannot be written.
    """
    mine = {"weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    path = run / BEGUN
    try:
        if path.is_file():
            if json.loads(path.read_text()) != mine:
                raise DataError(f"{run} was begun with another model than {weights}; use that, or another --run")
            return
        run.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(mine) + "\n")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used: {error}; give another --run") from error


def _stage(
    run: Path, weights: Path, config: FinetuneConfig, training: RunConfig
) -> tuple[AdversarialStage, tuple[str, ...]]:
    """What is trained, and what it has been through."""
    model, stages = initial_model(run, AdversarialStage.name, weights, None, training.seed)
    torch.manual_seed(training.seed)
    usual = light_parts(model.config) if training.device == "cpu" else all_parts()
    adversarial = AdversarialConfig(
        frames=config.frames,
        rollout=RolloutConfig(config.frames, segment=config.frames, overlap=0),
        lr=config.lr,
        game_weight=0.0,
        parts=config.parts or usual,
        ema=0.99,
    )
    return AdversarialStage(model, None, adversarial), stages
