"""Writes weights to disk in every arrangement in which checkpoints are published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]


def single(folder: Path, weights: Weights) -> Path:
    """One safetensors file, as Wan 2.1's 1.3B."""
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    return folder / "diffusion_pytorch_model.safetensors"


def sharded(folder: Path, weights: Weights, shards: int = 3) -> Path:
    """A folder of shards with their index, as Wan 2.1's 14B and Wan 2.2's 5B."""
    where = {}
    names = sorted(weights)
    for i in range(shards):
        file = f"diffusion_pytorch_model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {name: weights[name] for name in names[i::shards]}
        save_file(part, folder / file)
        where |= dict.fromkeys(part, file)
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


def pickled(folder: Path, weights: Weights) -> Path:
    """A PyTorch file of nothing but weights."""
    torch.save(weights, folder / "model.pth")
    return folder / "model.pth"


def self_forcing(folder: Path, weights: Weights) -> Path:
    """Several networks in one PyTorch file, the averaged one among them, wrapped as training wrapped them."""

    def wrapped(scale: float) -> dict[str, Any]:
        made = {}
        for name, tensor in weights.items():
            inner = name.replace("self_attn.", "_fsdp_wrapped_module.self_attn.")
            made[f"model._fsdp_wrapped_module.{inner}"] = tensor * scale
        return made

    held = {"generator": wrapped(2.0), "generator_ema": wrapped(1.0), "critic": {"other": torch.ones(2)}}
    torch.save(held, folder / "self_forcing.pt")
    return folder / "self_forcing.pt"


ARRANGEMENTS: dict[str, Callable[[Path, Weights], Path]] = {
    "single": single,
    "sharded": sharded,
    "pickled": pickled,
    "self forcing": self_forcing,
}
