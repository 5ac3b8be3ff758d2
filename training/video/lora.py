"""Low-rank adapters: a few numbers beside large matrices that stand still.

Source: LoRA, arXiv 2106.09685; α equals the rank, so nothing is scaled. Own code, because names and the type of every
weight must stay those of the checkpoint, and adapters must lie within the blocks that are split among ranks.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.generator import Generator

ADAPTER: Final = "adapter"


class Adapter(nn.Module):
    """up · down · x; nothing at first, as `up` begins at zero."""

    def __init__(self, ins: int, outs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, ins))
        self.up = nn.Parameter(torch.zeros(outs, rank))
        nn.init.kaiming_uniform_(self.down, math.sqrt(5))


class AdaptedLinear(nn.Linear):
    """A layer that stands still, and its adapter. Weight and bias keep their names and types."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        """Takes the weights of `layer`; they are not copied."""
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.adapter = Adapter(layer.in_features, layer.out_features, rank)

    def forward(self, x: Tensor) -> Tensor:
        """(..., ins) → (..., outs), in the type of `x`; the adapter computes in its own unless autocast decides."""
        own = x if torch.is_autocast_enabled(x.device.type) else x.to(self.adapter.down.dtype)
        change = F.linear(F.linear(own, self.adapter.down), self.adapter.up)
        out = super().forward(x)
        return out + change.to(out.dtype)


def add_adapters(generator: Generator, rank: int, seed: int) -> list[str]:
    """Gives every linear layer of the picture's blocks an adapter, the same for the same seed; their dotted names.

    Mutates the generator.
    """
    layers = [(name, m) for name, m in generator.blocks.named_modules(prefix="blocks") if isinstance(m, nn.Linear)]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for name, layer in layers:
            generator.set_submodule(name, AdaptedLinear(layer, rank))
    return [name for name, _ in layers]


def merged(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by name, every adapter added to its layer in float32 and left out."""
    made = dict(weights)
    ends = f".{ADAPTER}.up"
    for name in [name for name in made if name.endswith(ends)]:
        layer = name.removesuffix(ends)
        up, down = made.pop(name), made.pop(f"{layer}.{ADAPTER}.down")
        weight = made[f"{layer}.weight"]
        made[f"{layer}.weight"] = weight.float() + up.float() @ down.float().to(up.device)
    return made
