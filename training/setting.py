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
from training.run import MODEL
from training.state import STATE


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
    """Every data set.

    Raises:
        DataError: one is missing, damaged or empty.
    """
    return [Shards(folder) for folder in folders]


def initial_model(
    run: Path, stage: str, init: Path | None, preset: str, seed: int
) -> tuple[AvatarModel, tuple[str, ...]]:
    """The model a stage begins with, and the stages it has been through.

    A stage that is resumed begins with its own saved state; then this is only the shape, and what went before it.

    Raises:
        InvalidConfigError: the checkpoint or the preset cannot be used.
    """
    begun = run / stage / "init.safetensors"
    source = begun if (run / stage / STATE).is_file() and begun.is_file() else init
    if source is None and (run / MODEL).is_file():
        source = run / MODEL
    if source is None:
        if preset not in PRESETS:
            raise InvalidConfigError(f"there is no preset {preset!r}; there are {', '.join(sorted(PRESETS))}")
        model, stages = AvatarModel.fresh(PRESETS[preset], seed), tuple[str, ...]()
    else:
        model, header = checkpoint.load(source)
        stages = header.stages
    if source != begun:
        checkpoint.save(begun, model, stages)
    return model.train(), stages
