"""Which attention a device runs best: asked of the device itself, at start.

Source of the kernels: PyTorch's scaled_dot_product_attention, and flash-attn where it is installed.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from avatar_sdk.model.cache import Kernel
from avatar_sdk.model.presets import GeneratorConfig

BACKENDS: Final = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
"""PyTorch's kernels that take a mask; its flash kernel takes none."""
FLASH: Final = "flash-attn"
REPEATS: Final = 20


@dataclass(frozen=True)
class Attention:
    """The chosen kernel.

    Attributes:
        name: a key of `BACKENDS`, "flash-attn", or "default": what PyTorch takes by itself.
        measured_us: kernel → median time for one layer of the largest bucket; empty where nothing was asked.
    """

    name: str = "default"
    measured_us: dict[str, float] = field(default_factory=dict)

    def context(self) -> AbstractContextManager[object]:
        """In which PyTorch takes the chosen kernel."""
        return sdpa_kernel(BACKENDS[self.name]) if self.name in BACKENDS else nullcontext()

    def kernel(self, bias_BN: Tensor, tokens: int) -> Kernel | None:
        """What attention layers call instead of PyTorch's, or None."""
        return flash_kernel(bias_BN, tokens) if self.name == FLASH else None


def flash_kernel(bias_BN: Tensor, tokens: int) -> Kernel:
    """flash-attn over sink, current frame and the ring's filled slots, which are the first ones: no mask is needed.

    `bias_BN` is (B, N + 2): 0 where the sink, a ring slot or the current frame may be seen.
    """
    from flash_attn import flash_attn_with_kvcache  # type: ignore[import-not-found,unused-ignore]

    lengths_B = ((bias_BN == 0).sum(1) * tokens).to(torch.int32)

    def attend(q_BHTK: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> Tensor:
        half = torch.bfloat16
        sink_ring_now = (
            torch.cat((part[0], part[2], part[1]), 2).transpose(1, 2).to(half).contiguous() for part in (keys, values)
        )
        mixed = flash_attn_with_kvcache(q_BHTK.transpose(1, 2).to(half), *sink_ring_now, cache_seqlens=lengths_B)
        return torch.as_tensor(mixed).transpose(1, 2)

    return attend


def choose_attention(config: GeneratorConfig, rows: int, device: str, dtype: torch.dtype) -> Attention:
    """Times every kernel with the shapes of a full bucket and takes the fastest; on a CPU there is nothing to ask."""
    if torch.device(device).type != "cuda":
        return Attention()
    keys = (config.window + 2) * config.tokens
    q, k, v = (
        torch.randn(rows, config.heads, count, config.head_dim, device=device, dtype=dtype)
        for count in (config.tokens, keys, keys)
    )
    bias = torch.zeros(rows, 1, 1, keys, device=device, dtype=dtype).expand(-1, config.heads, config.tokens, -1)
    measured: dict[str, float] = {}
    for name, backend in BACKENDS.items():
        with sdpa_kernel(backend), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a kernel that refuses explains itself at length
            try:
                measured[name] = median_us(lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
            except RuntimeError:
                continue
    if dtype is torch.bfloat16 and importlib.util.find_spec("flash_attn"):
        sink, ring, now = k.split((config.tokens, config.window * config.tokens, config.tokens), 2)
        kernel = flash_kernel(torch.zeros(rows, config.window + 2, device=device), config.tokens)
        measured[FLASH] = median_us(lambda: kernel(q, (sink, ring, now), (sink, ring, now)))
    return Attention(min(measured, key=lambda name: measured[name]), measured)


def median_us(run: Callable[[], Tensor]) -> float:
    """Median time of a call on the device."""
    for _ in range(3):
        run()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(REPEATS + 1)]
    events[0].record()
    for event in events[1:]:
        run()
        event.record()
    events[-1].synchronize()
    spent = sorted(1000 * a.elapsed_time(b) for a, b in pairwise(events))
    return round(spent[len(spent) // 2], 2)
