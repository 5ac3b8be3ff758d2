"""Averaged weights: what is shipped, while what is trained jumps about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import AveragedModel

from avatar_sdk.model.avatar import AvatarModel
from training.ranks import ALONE, Ranks


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
                torch._foreach_lerp_(_own(average), _own(current), weight)

        self.module = AveragedModel(module, multi_avg_fn=mix)

    def update(self, module: nn.Module) -> None:
        """Mixes the current weights in."""
        self.module.update_parameters(module)
        for mine, theirs in zip(self.module.module.buffers(), module.buffers(), strict=True):
            mine.copy_(theirs)

    def parts(self) -> Iterable[nn.Module]:
        """The averaged modules."""
        return self.module.module.children()

    def applied(self, model: AvatarModel, ranks: Ranks = ALONE) -> AvatarModel:
        """A copy of the model with the averaged weights where there are any; their names must be the model's.

        Of several ranks only rank 0 is given weights; all must ask.
        """
        averages, own = self.module.module.state_dict(), model.state_dict()
        unknown = set(averages) - set(own)
        assert not unknown, f"averaged weights the model does not have: {sorted(unknown)[:3]}"
        with torch.device("meta"):
            averaged = AvatarModel(model.config)
        weights = ranks.whole({**own, **averages})
        if ranks.lead:
            averaged.load_state_dict(weights, assign=True)
        return averaged.eval()


def _own(weights: Sequence[Tensor]) -> list[Tensor]:
    """This rank's parts."""
    return [w.to_local() if isinstance(w, DTensor) else w for w in weights]
