"""Averaged weights: what is shipped, while what is trained jumps about."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avatar_sdk.model.avatar import AvatarModel


class Average:
    """An exponential moving average of a module's parameters; its buffers are taken over as they are.

    Attributes:
        module: what a resumed run needs, `n_averaged` included.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """`decay` is reached gradually: after n updates it is at most (1 + n) / (10 + n)."""

        def mix(average: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
            n = int(updates)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            with torch.no_grad():
                torch._foreach_lerp_(list(average), list(current), weight)

        self.module = AveragedModel(module, multi_avg_fn=mix)

    def update(self, module: nn.Module) -> None:
        """Mixes the current weights in."""
        self.module.update_parameters(module)
        for mine, theirs in zip(self.module.module.buffers(), module.buffers(), strict=True):
            mine.copy_(theirs)

    def applied(self, model: AvatarModel) -> AvatarModel:
        """A copy of the model with the averaged weights where there are any; their names must be the model's."""
        averaged = copy.deepcopy(model)
        state = self.module.module.state_dict()
        unknown = set(state) - set(averaged.state_dict())
        assert not unknown, f"averaged weights the model does not have: {sorted(unknown)[:3]}"
        averaged.load_state_dict(state, strict=False)
        return averaged.eval()
