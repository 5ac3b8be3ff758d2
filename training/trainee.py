"""What is trained together: networks, their optimiser and their average."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from avatar_sdk.model.avatar import AvatarModel
from training.ema import Average
from training.ranks import ALONE, Ranks

LONGEST_GRADIENT: Final = 1.0


class Trainee:
    """Parts of a model that learn; the rest of the model stands still.

    Attributes:
        average: what is shipped.
        optimiser: over the parts.
        networks: what a resumed run needs.
    """

    def __init__(
        self,
        model: AvatarModel,
        parts: Iterable[str],
        optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        decay: float,
        ranks: Ranks = ALONE,
    ) -> None:
        """Splits the parts among the ranks. Mutates which weights want gradients.

        Args:
            model: what the parts belong to.
            parts: attributes of `model`.
            optimiser: of the weights that it is given.
            decay: of the average.
            ranks: who train together.
        """
        self._ranks = ranks
        self._model = model.requires_grad_(False)
        self._parts = nn.ModuleDict({name: getattr(model, name) for name in parts}).requires_grad_(True)
        self.average = Average(self._parts, decay)
        for part in (*self._parts.values(), *self.average.parts()):
            ranks.shard(part)
        self.optimiser = optimiser(self._parts.parameters())
        self.networks: Mapping[str, nn.Module] = {"model": model, "average": self.average.module}

    def begin(self) -> None:
        """Forgets gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def update(self) -> Tensor:
        """One step along the gradients that were gathered since `begin`; their length before it was cut."""
        length = clip_gradient(self._parts, LONGEST_GRADIENT)
        self.optimiser.step()
        self.average.update(self._parts)
        return length

    def product(self) -> AvatarModel:
        """The model with averaged weights; of several ranks, only rank 0 is given any."""
        return self.average.applied(self._model, self._ranks)


def clip_gradient(network: nn.Module, longest: float) -> Tensor:
    """Shortens the gradient of the whole network, also where weights are split; its length before."""
    weights = list(network.parameters())
    length = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
    if isinstance(length, DTensor):
        length = length.full_tensor()
    nn.utils.clip_grads_with_norm_(weights, longest, length)
    return length.detach()
