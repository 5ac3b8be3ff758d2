"""What is trained together: networks, their optimiser and their average."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
from training.ema import Average

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
    ) -> None:
        """`parts` are attributes of `model`; `decay` is of the average. Mutates which weights want gradients."""
        self._model = model.requires_grad_(False)
        self._parts = nn.ModuleDict({name: getattr(model, name) for name in parts}).requires_grad_(True)
        self.average = Average(self._parts, decay)
        self.optimiser = optimiser(self._parts.parameters())
        self.networks: Mapping[str, nn.Module] = {"model": model, "average": self.average.module}

    def begin(self) -> None:
        """Forgets gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def update(self) -> Tensor:
        """One step along the gradients that were gathered since `begin`; their length before it was cut."""
        length = nn.utils.clip_grad_norm_(self._parts.parameters(), LONGEST_GRADIENT)
        self.optimiser.step()
        self.average.update(self._parts)
        return length.detach()

    def product(self) -> AvatarModel:
        """The model with averaged weights."""
        return self.average.applied(self._model)
