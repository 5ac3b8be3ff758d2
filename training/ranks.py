"""Processes that train one model together: what they agree on, and how its weights are split among them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.distributed as dist
from avatar_client.errors import InvalidConfigError
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from avatar_sdk.model.layers import Block
from training.errors import RankError

METHODS: Final = ("sink", "prompt", "read", "clip")
"""What computes with weights, beside `forward`: weights are gathered for these too."""


@dataclass(frozen=True)
class Ranks:
    """One of the processes.

    Attributes:
        rank: this one.
        size: how many there are.
        device: of this one.
        mesh: over which weights are split; None = one rank, and they stay whole.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    mesh: DeviceMesh | None = None

    @property
    def lead(self) -> bool:
        """Whether this one speaks and writes for all."""
        return self.rank == 0

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, raised if any rank has raised it. Waits for all ranks, but not for their devices."""
        if self.mesh is None:
            return flags
        # On the CPU also beside CUDA, so that no device is waited for.
        raised = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in raised)

    def least(self, number: int) -> int:
        """The smallest number of all ranks."""
        if self.mesh is None:
            return number
        least = torch.tensor(number)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return int(least)

    def mean(self, x: Tensor) -> Tensor:
        """The mean over ranks; gradients flow back into all of them."""
        return x if self.mesh is None else torch.as_tensor(_Mean.apply(x, self.size))

    def means(self, metrics: Mapping[str, Tensor]) -> dict[str, float]:
        """Scalars as their means over ranks."""
        values = self.mean(torch.stack([value.detach().float() for value in metrics.values()]))
        return dict(zip(metrics, values.tolist(), strict=True))

    def together(self, act: Callable[[], None]) -> None:
        """Acts, and waits until all ranks have.

        Raises:
            RankError: another rank has failed; nobody goes on without it.
        """
        failed = True
        try:
            act()
            failed = False
        finally:
            (anyone,) = self.any(failed)
        if anyone:
            raise RankError("another rank has failed and says why")

    def shard(self, network: nn.Module) -> None:
        """Splits the weights among the ranks, those of rank 0: transformer blocks one by one, then the rest.

        Optimisers must be made afterwards: the parameters are others. A copy is no longer possible.
        """
        if self.mesh is None:
            return
        for tensor in (*network.parameters(), *network.buffers()):
            dist.broadcast(tensor.detach(), 0)
        for module in dict.fromkeys([*(m for m in network.modules() if isinstance(m, Block)), network]):
            fully_shard(module, mesh=self.mesh)
            for name in METHODS:
                if hasattr(module, name):
                    register_fsdp_forward_method(module, name)

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies of weights, gathered if they are split; only rank 0 is given any if there are several."""
        if self.mesh is None:
            return {name: t.detach().clone() for name, t in weights.items()}
        kept = {}
        for name, t in weights.items():
            full = t.full_tensor().detach() if isinstance(t, DTensor) else t.detach()
            if self.lead:
                kept[name] = full.to("cpu", copy=True)
        return kept


ALONE: Final = Ranks()


class _Mean(torch.autograd.Function):
    """The mean over ranks, differentiable. Each rank's loss is a part of the mean loss, whose gradient is wanted."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        ctx.size = size
        mean = x.clone()
        dist.all_reduce(mean)
        return mean / size

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total / ctx.size, None


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that `torchrun` has started; without it, this one alone.

    Args:
        device: "cpu" or "cuda"; every rank takes the CUDA device of its `LOCAL_RANK`.

    Raises:
        InvalidConfigError: there are fewer devices than ranks.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(device=device)
        return
    place: torch.device | None = None
    if device == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= (there := torch.cuda.device_count()):
            raise InvalidConfigError(
                f"rank {local} of this machine has no CUDA device of its own, there are {there}; "
                f"use torchrun --nproc-per-node {there}, or --device cpu"
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    # FSDP warns of views, on which nothing here works in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    dist.init_process_group("gloo" if place is None else "cpu:gloo,cuda:nccl", device_id=place)
    try:
        yield Ranks(dist.get_rank(), size, str(place or device), init_device_mesh(device, (size,)))
    finally:
        dist.destroy_process_group()
