"""Weights on disk: safetensors, half precision, the configuration and the training stages inside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray

from avatar_sdk.model.presets import ModelConfig

FORMAT: Final = "avatar-sdk checkpoint 1"
WEIGHTS: Final = "model.safetensors"
"""File of the weights in an exported folder."""
INDEX: Final = "graphs.json"
"""File that says which weights each graph of an exported folder takes."""
CODEC_STAGE: Final = "codec"
GENERATOR_STAGES: Final = ("adapt", "distill", "adversarial")


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself."""

    config: ModelConfig
    stages: tuple[str, ...]


def check_stages(stages: tuple[str, ...]) -> None:
    """Refuses what would draw noise: a trained codec fed by an untrained generator.

    Raises:
        InvalidConfigError: with the command that trains the rest.
    """
    if CODEC_STAGE in stages and not set(GENERATOR_STAGES) & set(stages):
        raise InvalidConfigError(
            f"the checkpoint has been through {list(stages)}: its codec is trained and its generator is not; "
            "train it with `python -m training adapt`, or use --model warp",
            field="model",
        )


def save(path: Path, model: Any, stages: tuple[str, ...] = ()) -> None:
    """Writes an `AvatarModel` in float16."""
    import torch
    from safetensors.torch import save_file

    header = {"format": FORMAT, "config": json.dumps(model.config.to_dict()), "stages": json.dumps(stages)}
    tensors = {name: t.detach().to("cpu", torch.float16).contiguous() for name, t in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=header)


def read_header(path: Path) -> Header:
    """The configuration and stages of a checkpoint.

    Raises:
        InvalidConfigError: there is none, or it is not ours.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise InvalidConfigError(f"there is no checkpoint at {path}", field="model") from error
    except (OSError, SafetensorError) as error:
        raise InvalidConfigError(f"{path} cannot be read as a checkpoint: {error}", field="model") from error
    if metadata.get("format") != FORMAT:
        raise InvalidConfigError(
            f"{path} says it is {metadata.get('format', 'nothing')!r}; this version reads {FORMAT!r}", field="model"
        )
    try:
        return Header(ModelConfig.from_dict(json.loads(metadata["config"])), tuple(json.loads(metadata["stages"])))
    except (KeyError, json.JSONDecodeError) as error:
        raise InvalidConfigError(f"the header of {path} is damaged: {error}", field="model") from error


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every weight by name, as float32. Needs no torch."""
    from safetensors.numpy import load_file

    return {name: array.astype(np.float32) for name, array in load_file(path).items()}


def load(path: Path) -> tuple[Any, Header]:
    """An `AvatarModel` in float32 and evaluation mode, with its header.

    Raises:
        InvalidConfigError: names every weight that is missing, unknown or of another shape.
    """
    import torch

    from avatar_sdk.model.avatar import AvatarModel

    header = read_header(path)
    model = AvatarModel(header.config)
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    arrays = read_arrays(path)
    problems = [f"{n} is missing" for n in wanted if n not in arrays]
    problems += [f"{n} is unknown" for n in arrays if n not in wanted]
    problems += [
        f"{n} is {list(arrays[n].shape)}, not {list(s)}"
        for n, s in wanted.items()
        if n in arrays and arrays[n].shape != s
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise InvalidConfigError(f"{path} does not fit its own config {header.config.name!r}: {shown}", field="model")
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model.eval(), header
