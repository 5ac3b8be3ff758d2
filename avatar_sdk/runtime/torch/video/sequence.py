"""Several devices for one stream: each computes some tokens outside of attention, and some heads inside (Ulysses).

B rows, H heads, P devices, T tokens of a frame, D width, K head width; a device's own tokens are t, its own heads h.
Source: DeepSpeed-Ulysses, arXiv 2309.14509. A device remembers the keys and values of its heads only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from avatar_client.errors import InvalidConfigError
from torch import Tensor

from avatar_sdk.model.presets import GeneratorConfig


@dataclass(frozen=True)
class SequencePart:
    """One device's part.

    Attributes:
        rank: which.
        size: how many there are.
        counts: tokens of each.
        heads: of this one.
    """

    rank: int
    size: int
    counts: tuple[int, ...]
    heads: slice

    @classmethod
    def of(cls, config: GeneratorConfig, rank: int, size: int) -> SequencePart:
        """The part of a rank; tokens need not divide, heads must.

        Raises:
            InvalidConfigError: with the numbers of devices that the heads divide into.
        """
        if config.heads % size or config.tokens < size:
            fit = [n for n in range(1, config.heads + 1) if config.heads % n == 0 and n <= config.tokens]
            raise InvalidConfigError(
                f"{config.heads} heads and {config.tokens} tokens do not divide among {size} devices; "
                f"{', '.join(map(str, fit))} devices would do",
                field="devices",
            )
        whole, left = divmod(config.tokens, size)
        own = config.heads // size
        return cls(rank, size, tuple(whole + (k < left) for k in range(size)), slice(rank * own, (rank + 1) * own))

    @property
    def tokens(self) -> slice:
        """Of this device."""
        start = sum(self.counts[: self.rank])
        return slice(start, start + self.counts[self.rank])

    def take(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, t, D)."""
        return x_BTD[:, self.tokens]

    def gather(self, x_BtC: Tensor) -> Tensor:
        """(B, t, C) → (B, T, C), the same on every device."""
        rows, own, width = x_BtC.shape
        sent = x_BtC.transpose(0, 1).repeat(self.size, 1, 1).contiguous()
        got = sent.new_empty(sum(self.counts), rows, width)
        dist.all_to_all_single(got, sent, list(self.counts), [own] * self.size)
        return got.transpose(0, 1)

    def to_heads(self, x_BHtK: Tensor) -> Tensor:
        """(B, H, t, K) → (B, h, T, K): own tokens of all heads against all tokens of own heads."""
        rows, heads, own, width = x_BHtK.shape
        each = heads // self.size
        # What goes to one device lies together: (H, t, B, K), split along H.
        sent = x_BHtK.permute(1, 2, 0, 3).reshape(heads * own, rows, width).contiguous()
        got = sent.new_empty(each * sum(self.counts), rows, width)
        dist.all_to_all_single(got, sent, [each * count for count in self.counts], [each * own] * self.size)
        parts = got.split([each * count for count in self.counts])
        joined_hTBK = torch.cat([part.unflatten(0, (each, -1)) for part in parts], 1)
        return joined_hTBK.permute(2, 0, 1, 3)

    def to_tokens(self, x_BhTK: Tensor) -> Tensor:
        """(B, h, T, K) → (B, H, t, K), the way back."""
        rows, each, _, width = x_BhTK.shape
        own = self.counts[self.rank]
        parts = x_BhTK.permute(1, 2, 0, 3).split(self.counts, 1)
        sent = torch.cat([part.reshape(-1, rows, width) for part in parts])
        got = sent.new_empty(self.size * each * own, rows, width)
        dist.all_to_all_single(got, sent, [each * own] * self.size, [each * count for count in self.counts])
        return got.unflatten(0, (self.size * each, own)).permute(2, 0, 1, 3)


@contextmanager
def joined_devices(device: str) -> Iterator[tuple[int, int, str]]:
    """Rank, number of ranks and own device of a process that `torchrun` has started; alone without it.

    Raises:
        InvalidConfigError: `torchrun` started more processes than there are devices.
    """
    size, rank, local = (int(os.environ.get(name, default)) for name, default in _TORCHRUN)
    if size == 1:
        yield 0, 1, device
        return
    if torch.device(device).type == "cuda":
        if local >= torch.cuda.device_count():
            raise InvalidConfigError(
                f"process {rank} of {size} has no CUDA device of its own, there are {torch.cuda.device_count()}; "
                "start as many processes as there are devices",
                field="device",
            )
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
        dist.init_process_group("nccl", device_id=torch.device(device))
    else:
        dist.init_process_group("gloo")
    try:
        yield rank, size, device
    finally:
        dist.destroy_process_group()


_TORCHRUN = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))
