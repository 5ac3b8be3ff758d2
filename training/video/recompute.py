"""Gradient checkpointing: a block's insides are computed again when their gradient is wanted, instead of kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avatar_sdk.model.cache import GrowingCache
from avatar_sdk.model.layers import Block, Prompt


class RecomputedBlock(Block):
    """A block that keeps its input, its keys and its values only.

    What a block does to a growing cache must be done once, however often the block is computed; so it is given a copy,
    and what the copy was given is handed on.
    """

    def forward(self, x_BTD: Tensor, time_B6D: Tensor, prompt: Prompt | None, **attention: Any) -> Tensor:
        """See `Block.forward`."""
        if not torch.is_grad_enabled():
            return super().forward(x_BTD, time_B6D, prompt, **attention)
        cache = attention.pop("cache")
        past = _copy(cache) if isinstance(cache, GrowingCache) else None

        def compute(x_BTD: Tensor, time_B6D: Tensor) -> tuple[Tensor, ...]:
            if past is None:
                return (Block.forward(self, x_BTD, time_B6D, prompt, cache=cache, **attention),)
            own = _copy(past)
            made = Block.forward(self, x_BTD, time_B6D, prompt, cache=own, **attention)
            return made, own.keys[-1], own.values[-1]

        made, *kept = checkpoint(compute, x_BTD, time_B6D, use_reentrant=False, preserve_rng_state=False)
        if past is not None:
            cache.append(*kept, attention["frame_B"])
        return torch.as_tensor(made)


def recompute(network: nn.Module) -> None:
    """Makes every block within a network one that is recomputed. Mutates it; before it is split among ranks."""
    for module in network.modules():
        if type(module) is Block:
            module.__class__ = RecomputedBlock


def _copy(cache: GrowingCache) -> GrowingCache:
    copy = GrowingCache()
    copy.keys, copy.values, copy.frames = list(cache.keys), list(cache.values), list(cache.frames)
    return copy
