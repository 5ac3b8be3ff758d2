"""What a stage leaves on disk, so that the same command goes on: networks, optimisers, step, random numbers.

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

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.presets import ModelConfig
from training.errors import DataError, DivergedError
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


def save_state(stage: Stage, folder: Path, origin: Origin, at: Progress, rng: torch.Generator) -> None:
    """Writes the full state under its name once it is whole.

    Raises:
        DivergedError: a weight is not a number; what is on disk stays.
        DataError: the disk is full or cannot be written; what is on disk stays.
    """
    networks = {name: module.state_dict() for name, module in stage.networks.items()}
    for name, weights in networks.items():
        if not all(bool(torch.isfinite(t).all()) for t in weights.values() if t.is_floating_point()):
            raise DivergedError(
                f"{stage.name} diverged before step {at.step}: {name} holds weights that are not numbers; "
                f"{way_out(folder)}"
            )
    state = {
        "origin": {"seed": origin.seed, "config": dict(origin.config), "stages": origin.stages},
        "progress": vars(at),
        "networks": networks,
        "optimisers": {name: optimiser.state_dict() for name, optimiser in stage.optimisers.items()},
        "rng": {"stage": rng.get_state(), "torch": torch.get_rng_state()},
    }
    _write(state, folder)


def load_state(stage: Stage, folder: Path, origin: Origin, device: str, rng: torch.Generator) -> Progress:
    """Loads what was saved, if anything, into the stage. Learning rates and the like stay as they are asked for now.

    Raises:
        DataError: the state is damaged, or of another seed or network.
    """
    path = folder / STATE
    if not path.is_file():
        return Progress()
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        before = Origin(**state["origin"]).settings()
        for name, value in origin.settings().items():
            if before[name] != value:
                raise DataError(f"{path} was made with {name} {before[name]}, not {value}; use that, or another --run")
        for name, module in stage.networks.items():
            module.load_state_dict(state["networks"][name])
        for name, optimiser in stage.optimisers.items():
            if name in state["optimisers"]:
                _load_moments(optimiser, state["optimisers"][name])
    except (KeyError, TypeError, RuntimeError, ValueError, EOFError) as error:
        raise DataError(f"{path} does not fit this command: {error}; use another --run") from error
    if "stage" in state["rng"]:
        rng.set_state(state["rng"]["stage"].cpu())
        torch.set_rng_state(state["rng"]["torch"].cpu())
    return Progress(**state["progress"])


def way_out(folder: Path) -> str:
    """What to do after a run has diverged."""
    if (folder / STATE).is_file():
        return f"the state in {folder / STATE} is from before; go on from it with a smaller --lr"
    return "nothing was saved; begin again with a smaller --lr"


def export_portable(stage_folder: Path, out: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Writes a small state, in parts: weights, averages and discriminators in float16, without moments.

    Returns:
        The files written; all are needed to import.

    Raises:
        DataError: there is no state, or it cannot be written.
    """
    source = stage_folder / STATE
    if not source.is_file():
        raise DataError(f"{source} does not exist; train first")
    state = torch.load(source, map_location="cpu", weights_only=True)
    tensors = {
        f"{network}/{name}": t.half().clone() if t.is_floating_point() else t.clone()
        for network, weights in state["networks"].items()
        for name, t in weights.items()
    }
    data = save(tensors)
    index = {
        "origin": state["origin"],
        "progress": state["progress"],
        "parts": -(-len(data) // part_bytes),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / PORTABLE]
        paths[0].write_text(json.dumps(index))
        for part in range(index["parts"]):
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


def _load_moments(optimiser: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Loads moments but keeps the hyper-parameters, which the caller may have changed on purpose."""
    wanted = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(dict(saved))
    for group, values in zip(optimiser.param_groups, wanted, strict=True):
        group.update(values)
