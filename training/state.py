"""What a stage leaves on disk, so that the same command goes on: networks, optimisers, step, random numbers.

One rank writes one file; several write parts (`sharded_state`). Each replaces the other, and either reads both.

The full state resumes bit for bit. The portable one is small: half-precision weights without an optimiser's moments,
which warm up again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.tensor import DTensor

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.presets import ModelConfig
from training.errors import DataError, DivergedError
from training.ranks import ALONE, Ranks
from training.sharded_state import (
    INDEX,
    drop_parts,
    hyper_parameters_kept,
    load_parts,
    read_index,
    save_parts,
    split_like,
    split_moments,
    whole_networks,
)
from training.stages.stage import Stage

STATE: Final = "state.pt"
INITIAL: Final = "init.safetensors"
"""The model a stage began with; a resumed one needs its shape and what it had been through."""
PORTABLE: Final = "portable.json"
PART_BYTES: Final = 15 * 2**20


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        step: steps done.
        seconds: of computing, over all sessions.
        warm_from: step from which the learning rate rises: 0, or where moments were lost.
    """

    step: int = 0
    seconds: float = 0.0
    warm_from: int = 0


@dataclass(frozen=True)
class Origin:
    """What a run began with, and must begin with when it goes on.

    Attributes:
        seed: of everything random that is not a batch.
        config: of the model, as plain values.
        stages: what the initial model had been through.
    """

    seed: int
    config: Mapping[str, Any]
    stages: tuple[str, ...]

    def settings(self) -> dict[str, str | int]:
        """Seed and config, flat, so that one that differs can be named."""
        return {"seed": self.seed, **_flat(self.config)}


def has_state(folder: Path) -> bool:
    """Whether a stage has something to go on from."""
    return (folder / STATE).is_file() or (folder / INDEX).is_file()


def save_state(
    stage: Stage, folder: Path, origin: Origin, at: Progress, rng: torch.Generator, ranks: Ranks = ALONE
) -> None:
    """Writes the full state under its name once it is whole. All ranks call it.

    Raises:
        DivergedError: a weight is not a number; what is on disk stays.
        DataError: the disk is full or cannot be written; what is on disk stays.
    """
    for name, module in stage.networks.items():
        if ranks.any(not all(_finite(t) for t in module.state_dict().values()))[0]:
            raise DivergedError(
                f"{stage.name} diverged before step {at.step}: {name} holds weights that are not numbers; "
                f"{way_out(folder)}"
            )
    about = {
        "origin": {"seed": origin.seed, "config": dict(origin.config), "stages": origin.stages},
        "progress": vars(at),
    }
    if ranks.size > 1:
        save_parts(stage, folder, about, _random_numbers(rng), ranks)
        if ranks.lead:
            (folder / STATE).unlink(missing_ok=True)
        return
    state = {
        **about,
        "networks": {name: module.state_dict() for name, module in stage.networks.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in stage.optimisers.items()},
        "rng": _random_numbers(rng),
    }
    index = read_index(folder)
    _write(state, folder)
    if index is not None:
        drop_parts(folder, index)


def load_state(
    stage: Stage, folder: Path, origin: Origin, device: str, rng: torch.Generator, ranks: Ranks = ALONE
) -> Progress:
    """Loads what was saved, if anything, into the stage. Learning rates and the like stay as they are asked for now.

    All ranks call it; the state may be of another number of ranks.

    Raises:
        DataError: the state is damaged, or of another seed or network.
    """
    if not has_state(folder):
        return Progress()
    index = read_index(folder)
    path = folder / (STATE if index is None else INDEX)
    try:
        where = device if ranks.size == 1 else "cpu"  # split there, each rank's part goes on
        state = torch.load(path, map_location=where, weights_only=True) if index is None else index
        before = Origin(**state["origin"]).settings()
        for name, value in origin.settings().items():
            if before[name] != value:
                raise DataError(f"{path} was made with {name} {before[name]}, not {value}; use that, or another --run")
        if index is None:
            _load_whole(stage, state)
            drawn = state["rng"]
        else:
            drawn = load_parts(stage, folder, index, _random_numbers(rng), ranks)
    except (KeyError, TypeError, RuntimeError, ValueError, EOFError, OSError, CheckpointException) as error:
        raise DataError(f"{path} does not fit this command: {error}; use another --run") from error
    if "stage" in drawn:
        rng.set_state(drawn["stage"].cpu())
        torch.set_rng_state(drawn["torch"].cpu())
    return Progress(**state["progress"])


def way_out(folder: Path) -> str:
    """What to do after a run has diverged."""
    if has_state(folder):
        kept = folder / (INDEX if (folder / INDEX).is_file() else STATE)
        return f"the state in {kept} is from before; go on from it with a smaller --lr"
    return "nothing was saved; begin again with a smaller --lr"


def export_portable(stage_folder: Path, out: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Writes a small state, in parts: weights, averages and discriminators in float16, without moments.

    Returns:
        The files written; all are needed to import.

    Raises:
        DataError: there is no state, or it cannot be written.
    """
    if not has_state(stage_folder):
        raise DataError(f"{stage_folder / STATE} does not exist; train first")
    index = read_index(stage_folder)
    if index is None:
        state = torch.load(stage_folder / STATE, map_location="cpu", weights_only=True)
    else:
        state = {**index, "networks": whole_networks(stage_folder, index)}
    tensors = {
        f"{network}/{name}": t.half().clone() if t.is_floating_point() else t.clone()
        for network, weights in state["networks"].items()
        for name, t in weights.items()
    }
    data = save(tensors)
    portable = {
        "origin": state["origin"],
        "progress": state["progress"],
        "parts": -(-len(data) // part_bytes),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / PORTABLE]
        paths[0].write_text(json.dumps(portable))
        for part in range(portable["parts"]):
            paths.append(out / _part(part))
            paths[-1].write_bytes(data[part * part_bytes : (part + 1) * part_bytes])
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}") from error
    return paths


def import_portable(portable: Path, stage_folder: Path) -> None:
    """Makes a state to go on from out of a portable one, and the model it is for. The learning rate warms up anew.

    Raises:
        DataError: a part is missing or damaged.
    """
    try:
        index = json.loads((portable / PORTABLE).read_text())
        data = b"".join((portable / _part(part)).read_bytes() for part in range(index["parts"]))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{portable} holds no portable state: {error}") from error
    if hashlib.sha256(data).hexdigest() != index["sha256"]:
        raise DataError(f"the parts in {portable} do not belong together or are damaged; copy them again")
    networks: dict[str, dict[str, Tensor]] = {}
    for name, tensor in load(data).items():
        network, _, own = name.partition("/")
        networks.setdefault(network, {})[own] = tensor.float() if tensor.is_floating_point() else tensor
    progress = {**index["progress"], "warm_from": index["progress"]["step"]}
    stage_folder.mkdir(parents=True, exist_ok=True)
    origin = index["origin"]
    model = AvatarModel(ModelConfig.from_dict(origin["config"]))
    model.load_state_dict(networks["model"])
    checkpoint.save(stage_folder / INITIAL, model, tuple(origin["stages"]))
    _write({"origin": origin, "progress": progress, "networks": networks, "optimisers": {}, "rng": {}}, stage_folder)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str | int]:
    """Nested settings as `outer.inner`."""
    flat: dict[str, str | int] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = (
                value if isinstance(value, int) else str(list(value) if isinstance(value, tuple) else value)
            )
    return flat


def _part(number: int) -> str:
    return f"portable.{number:03d}"


def _write(state: Mapping[str, Any], folder: Path) -> None:
    fresh = folder / (STATE + ".new")
    try:
        torch.save(state, fresh)
        fresh.replace(folder / STATE)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        fresh.unlink(missing_ok=True)
        raise DataError(f"{folder} cannot be written: {error}; free some space and run the same command") from error


def _random_numbers(rng: torch.Generator) -> dict[str, Tensor]:
    return {"stage": rng.get_state(), "torch": torch.get_rng_state()}


def _load_whole(stage: Stage, state: Mapping[str, Any]) -> None:
    for name, module in stage.networks.items():
        module.load_state_dict(split_like(state["networks"][name], module.state_dict()))
    for name, optimiser in stage.optimisers.items():
        if name in state["optimisers"]:
            with hyper_parameters_kept(optimiser):
                optimiser.load_state_dict(split_moments(state["optimisers"][name], optimiser))


def _finite(weight: Tensor) -> bool:
    """Whether this rank's part holds numbers only."""
    own = weight.to_local() if isinstance(weight, DTensor) else weight
    return not own.is_floating_point() or bool(torch.isfinite(own).all())
