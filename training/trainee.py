"""What is trained together: networks, their optimiser and their average."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from avatar_sdk.model.avatar import AvatarModel
from training.ema import Average
from training.ranks import ALONE, Ranks
from training.video.student import VideoProduct, VideoStudent

LONGEST_GRADIENT: Final = 1.0
PARTS: Final = ("conditioner", "generator")
"""What learns in the generator's stages."""
Product = AvatarModel | VideoProduct
"""What a stage leaves."""


class Trainee:
    """Parts of a model that learn; the rest of the model stands still.

    Attributes:
        average: what is shipped.
        optimiser: over the parts.
        networks: what a resumed run needs.
    """

    def __init__(
        self,
        model: AvatarModel | VideoStudent,
        parts: Sequence[str],
        optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        decay: float,
        ranks: Ranks = ALONE,
    ) -> None:
        """Splits the parts among the ranks. Mutates which weights want gradients.

        Args:
            model: which parts are taken from.
            parts: dotted names of modules, e.g. "conditioner" or "generator.blocks.4"; none within another.
            optimiser: is given their weights.
            decay: of the average.
            ranks: who train together.

        Raises:
            InvalidConfigError: there is no such part.
        """
        self._ranks = ranks
        self._model = model.requires_grad_(False)
        self._parts = branches(model, parts).requires_grad_(True)
        self.average = Average(self._parts, decay)
        known: nn.Module = model
        if isinstance(model, VideoStudent):
            # What stands still is too large for every rank, too; it is not saved, as it stays what the run began with.
            known, units = self._parts, [model.get_submodule(unit) for unit in model.units]
            units.append(self.average.module.module)
        else:
            units = [root.get_submodule(part) for root in (self._parts, self.average.module.module) for part in parts]
        for unit in units:
            ranks.shard(unit)
        self.optimiser = optimiser(self._parts.parameters())
        self.networks: Mapping[str, nn.Module] = {"model": known, "average": self.average.module}

    def begin(self) -> None:
        """Forgets gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def update(self) -> Tensor:
        """One step along the gradients that were gathered since `begin`; their length before it was cut."""
        length = clip_gradient(self._parts, LONGEST_GRADIENT)
        self.optimiser.step()
        self.average.update(self._parts)
        return length

    def product(self) -> Product:
        """The model with averaged weights; of several ranks, only rank 0 is given any."""
        if isinstance(self._model, VideoStudent):
            return self._model.product(self.average.module.module.state_dict(), self._ranks)
        return self.average.applied(self._model, self._ranks)


def branches(model: nn.Module, parts: Iterable[str]) -> nn.Module:
    """A module that holds some of a model's modules under the names they have there; nothing is copied.

    Raises:
        InvalidConfigError: there is no such part.
    """
    root = nn.Module()
    for part in parts:
        *above, last = part.split(".")
        try:
            found = model.get_submodule(part)
        except AttributeError as error:
            known = ", ".join(name for name, _ in model.named_children())
            raise InvalidConfigError(f"the model has no part {part!r}; parts lie within {known}") from error
        at = root
        for name in above:
            if name not in dict(at.named_children()):
                at.add_module(name, nn.Module())
            at = at.get_submodule(name)
        at.add_module(last, found)
    return root


def clip_gradient(network: nn.Module, longest: float) -> Tensor:
    """Shortens the gradient of the whole network, also where weights are split; its length before."""
    weights = list(network.parameters())
    length = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
    if isinstance(length, DTensor):
        length = length.full_tensor()
    nn.utils.clip_grads_with_norm_(weights, longest, length)
    return length.detach()
