"""The state of several ranks on disk: every rank writes its part, and any number of ranks can read it.

An index names the folder with the parts, written by `torch.distributed.checkpoint`; it changes hands once they are
whole. All ranks must see the same disk.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor, distribute_tensor

from training.errors import DataError
from training.ranks import Ranks
from training.stages.stage import Stage

INDEX: Final = "state.json"
PARTS: Final = "state-{:08d}"


def read_index(folder: Path) -> dict[str, Any] | None:
    """Origin, progress and the folder of the parts; None = there is no such state.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        index: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; use another --run") from error
    return index


def save_parts(stage: Stage, folder: Path, about: Mapping[str, Any], rng: Mapping[str, Tensor], ranks: Ranks) -> None:
    """Writes the parts, then the index, then drops what is older. All ranks call it.

    Raises:
        DataError: the disk is full or cannot be written; what is on disk stays.
        RankError: another rank could not write.
    """
    parts = folder / PARTS.format(about["progress"]["step"])

    def publish() -> None:
        fresh = folder / (INDEX + ".new")
        fresh.write_text(json.dumps({**about, "ranks": ranks.size, "parts": parts.name}))
        fresh.replace(folder / INDEX)
        for old in folder.glob(PARTS.format(0).rstrip("0") + "*"):
            if old != parts:
                shutil.rmtree(old)

    try:
        save(_tensors(stage, rng), checkpoint_id=parts)
        ranks.together(publish if ranks.lead else lambda: None)
    except (OSError, RuntimeError, CheckpointException) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{folder} cannot be written: {why}; free some space and run the same command") from error


def load_parts(
    stage: Stage, folder: Path, index: Mapping[str, Any], rng: Mapping[str, Tensor], ranks: Ranks
) -> dict[str, Tensor]:
    """Loads the parts into the stage, however many ranks wrote them; hyper-parameters stay. Returns random numbers.

    Raises:
        KeyError, RuntimeError, ValueError, OSError, CheckpointException: parts are missing, damaged or of another
            network.
    """
    tensors = _tensors(stage, rng)
    with warnings.catch_warnings():
        # One rank reads the parts of several on purpose.
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        load(tensors, checkpoint_id=folder / index["parts"], no_dist=ranks.size == 1)
    for name, module in stage.networks.items():
        module.load_state_dict(tensors["networks"][name])
    for name, optimiser in stage.optimisers.items():
        with hyper_parameters_kept(optimiser):
            owner = _owner(stage, optimiser)
            set_optimizer_state_dict(owner, optimiser, optim_state_dict=tensors["optimisers"][name])
    drawn: dict[str, Tensor] = tensors["rng"]
    return drawn


def whole_networks(folder: Path, index: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """All networks' weights put together on the CPU, by network and name."""
    with TemporaryDirectory(dir=folder) as scratch:
        joined = Path(scratch) / "whole.pt"
        dcp_to_torch_save(folder / index["parts"], joined)
        networks: dict[str, dict[str, Tensor]] = torch.load(joined, map_location="cpu", weights_only=True)["networks"]
    return networks


def drop_parts(folder: Path, index: Mapping[str, Any]) -> None:
    """Removes a state that a newer one replaces."""
    (folder / INDEX).unlink()
    shutil.rmtree(folder / index["parts"], ignore_errors=True)


def split_like(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors, split as this rank's own ones of the same name are, where they are. All ranks call it."""
    return {name: _split(t, own[name]) if name in own else t for name, t in saved.items()}


def split_moments(saved: Mapping[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's whole state, each parameter's moments split as the parameter is. All ranks call it."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    moments = {
        place: {name: _split(t, weights[place]) if t.ndim else t for name, t in values.items()}
        for place, values in saved["state"].items()
    }
    return {**saved, "state": moments}


@contextmanager
def hyper_parameters_kept(optimiser: torch.optim.Optimizer) -> Iterator[None]:
    """Keeps learning rates and the like, which the caller may have changed on purpose, whatever is loaded."""
    wanted = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
    yield
    for group, values in zip(optimiser.param_groups, wanted, strict=True):
        group.update(values)


def _split(whole: Tensor, own: Tensor) -> Tensor:
    if not isinstance(own, DTensor):
        return whole
    return distribute_tensor(whole.to(own.device), own.device_mesh, own.placements)


def _tensors(stage: Stage, rng: Mapping[str, Tensor]) -> dict[str, Any]:
    """Everything that is in parts; optimisers that have not begun are begun."""
    return {
        "networks": {name: module.state_dict() for name, module in stage.networks.items()},
        "optimisers": {
            name: get_optimizer_state_dict(_owner(stage, optimiser), optimiser)
            for name, optimiser in stage.optimisers.items()
        },
        "rng": dict(rng),
    }


def _owner(stage: Stage, optimiser: torch.optim.Optimizer) -> nn.Module:
    """The network whose weights an optimiser moves."""
    moved = {weight for group in optimiser.param_groups for weight in group["params"]}
    return next(module for module in stage.networks.values() if moved <= set(module.parameters()))
