"""Where a stage runs: the device, the data and the model it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from avatar_client.errors import InvalidConfigError

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.presets import PRESETS
from training.data import Shards
from training.data.batches import Batches
from training.errors import DataError
from training.ranks import ALONE, Ranks
from training.run import MODEL, RunConfig, RunResult, train
from training.stages.stage import Stage
from training.state import INITIAL, PORTABLE, export_portable, has_state, import_portable


def choose_device(wanted: str, threads: int | None = None) -> str:
    """What PyTorch calls the wanted device; sets its thread count.

    Raises:
        InvalidConfigError: there is no such device.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise InvalidConfigError(f"--device is {wanted!r}; it is auto, cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InvalidConfigError("--device is cuda, but PyTorch finds none here; use --device cpu")
    return wanted


def open_shards(folders: Sequence[Path]) -> list[Shards]:
    """Every data set of face crops.

    Raises:
        DataError: one is missing, damaged or empty, or holds whole pictures.
    """
    opened = [Shards(folder) for folder in folders]
    if whole := [shards.folder for shards in opened if shards.picture is not None]:
        raise DataError(f"{whole[0]} holds whole pictures, for video generators; prepare face crops without --picture")
    return opened


def initial_model(
    run: Path,
    stage: str,
    init: Path | None,
    preset: str | None,
    seed: int,
    needs: str | None = None,
    ranks: Ranks = ALONE,
) -> tuple[AvatarModel, tuple[str, ...]]:
    """The model a stage begins with, and the stages it has been through.

    A stage that is resumed begins with its own saved state; then this is only the shape, and what went before it.

    Args:
        run: folder of the run.
        stage: to be trained.
        init: a checkpoint; None = the run's model, or else fresh weights.
        preset: size of fresh weights; None = there must be a checkpoint.
        seed: of fresh weights.
        needs: a stage that the model must have been through.
        ranks: all ask, rank 0 writes.

    Raises:
        InvalidConfigError: the checkpoint or the preset cannot be used.
    """
    begun = run / stage / INITIAL
    source = begun if has_state(run / stage) and begun.is_file() else init
    if source is None and (run / MODEL).is_file():
        source = run / MODEL
    if source is not None:
        model, header = checkpoint.load(source)
        stages = header.stages
    elif preset is None:
        raise InvalidConfigError(
            f"there is no model in {run} yet; run `python -m training {needs}` first, or give --init"
        )
    elif preset not in PRESETS:
        raise InvalidConfigError(f"there is no preset {preset!r}; there are {', '.join(sorted(PRESETS))}")
    else:
        model, stages = AvatarModel.fresh(PRESETS[preset], seed), ()
    if needs is not None and needs not in stages:
        raise InvalidConfigError(
            f"{source} has been through {list(stages)}; {stage} needs {needs} before it: `python -m training {needs}`"
        )
    if source != begun and ranks.lead:
        checkpoint.save(begun, model, stages)
    return model.train(), stages


def restore(run: Path, stage: str, portable: Path | None, ranks: Ranks = ALONE) -> None:
    """Begins from a portable state if there is one and the run has none of its own.

    Raises:
        DataError: a part of it is missing or damaged.
        RankError: rank 0 could not write it.
    """

    def begin() -> None:
        if portable is not None and (portable / PORTABLE).is_file() and not has_state(run / stage):
            import_portable(portable, run / stage)

    ranks.together(begin if ranks.lead else lambda: None)


def session(
    stage: Stage,
    batches: Batches,
    run: Path,
    config: RunConfig,
    stages: tuple[str, ...],
    portable: Path | None = None,
    ranks: Ranks = ALONE,
) -> RunResult:
    """Trains, and writes the portable state if it is wanted. Raises as `train` does."""
    result = train(stage, batches, run, config, stages, ranks)
    if portable is not None and ranks.lead:
        export_portable(run / stage.name, portable)
    return result


def judge_model(run: Path, given: Path | None, model: AvatarModel) -> AvatarModel:
    """The model a discriminator begins with: what stage 1 left, if it is still there, else the student's own.

    Raises:
        InvalidConfigError: it is of another size than the student.
    """
    source = given or run / "distill" / INITIAL
    if given is None and not source.is_file():
        return model
    judge, header = checkpoint.load(source)
    if header.config != model.config:
        raise InvalidConfigError(f"{source} is a {header.config.name}, the student a {model.config.name}; give --judge")
    return judge
