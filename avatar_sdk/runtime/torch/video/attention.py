"""Which attention kernel a large generator takes: asked of the device itself, at start.

Two shapes of a step ask for two kernels. Once the window is full every key is seen, so no mask is needed, and the
kernels without masks are the fast ones. Before that, for the first N steps of a stream, a mask hides the empty slots.
T tokens, L keys, H heads, K head width.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from avatar_sdk.runtime.torch.attention import BACKENDS, median_us

UNMASKED: Final = {"flash": SDPBackend.FLASH_ATTENTION, **BACKENDS}
"""PyTorch's kernels, those that take no mask among them."""
PACKAGES: Final = {
    "flash-attn 4": "flash_attn.cute",
    "flash-attn 3": "flash_attn_interface",
    "flash-attn 2": "flash_attn",
}
"""Versions of flash-attn → the module that has `flash_attn_func`."""
DEFAULT: Final = "default"
"""What PyTorch takes by itself."""


@dataclass(frozen=True)
class VideoAttention:
    """The chosen kernels.

    Attributes:
        full, warming: names of kernels for a full window and for one that fills.
        measured_us: kernel → median time for one layer with a full window; empty where nothing was asked.
    """

    full: str = DEFAULT
    warming: str = DEFAULT
    measured_us: dict[str, float] = field(default_factory=dict)

    def __call__(self, q_BHTK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, mask: Tensor | None) -> Tensor:
        """(B, H, T, K). `mask` is additive, (1, 1, 1, L); None = all keys are seen."""
        return attend(self.full if mask is None else self.warming, q_BHTK, k_BHLK, v_BHLK, mask)


def attend(name: str, q_BHTK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, mask: Tensor | None) -> Tensor:
    """Attention by a kernel's name."""
    if name in PACKAGES:
        mixed = _package(name)(*(part.transpose(1, 2) for part in (q_BHTK, k_BHLK, v_BHLK)))
        return torch.as_tensor(mixed[0] if isinstance(mixed, tuple) else mixed).transpose(1, 2)
    if mask is not None:
        mask = mask.expand(len(q_BHTK), q_BHTK.shape[1], q_BHTK.shape[2], -1)
    if name == DEFAULT:
        return F.scaled_dot_product_attention(q_BHTK, k_BHLK, v_BHLK, attn_mask=mask)
    with sdpa_kernel(UNMASKED[name]):
        return F.scaled_dot_product_attention(q_BHTK, k_BHLK, v_BHLK, attn_mask=mask)


def choose_video_attention(
    heads: int, tokens: int, keys: int, width: int, device: str, dtype: torch.dtype
) -> VideoAttention:
    """Times every kernel with the shapes of one layer and takes the fastest; on a CPU there is nothing to ask.

    Args:
        heads: that this device computes.
        tokens: queries of a step.
        keys: with a full window, text and sink included.
        width: of a head.
        device: where.
        dtype: of queries, keys and values.
    """
    if torch.device(device).type != "cuda":
        return VideoAttention()
    q, k, v = (
        torch.randn(1, count, heads, width, device=device, dtype=dtype).transpose(1, 2)
        for count in (tokens, keys, keys)
    )
    mask = torch.zeros(1, 1, 1, keys, device=device, dtype=dtype)
    names = [*UNMASKED, *(name for name, module in PACKAGES.items() if _is_there(module) and dtype is torch.bfloat16)]
    full = {name: spent for name in names if (spent := _ask(name, q, k, v, None)) is not None}
    masked = {name: spent for name in BACKENDS if (spent := _ask(name, q, k, v, mask)) is not None}
    return VideoAttention(
        min(full, key=lambda name: full[name]),
        min(masked, key=lambda name: masked[name]),
        full | {f"{name}, masked": spent for name, spent in masked.items()},
    )


def _ask(name: str, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> float | None:
    """Median microseconds, or None for a kernel that refuses these shapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a kernel that refuses explains itself at length
        with suppress(RuntimeError):
            return median_us(lambda: attend(name, q, k, v, mask))
    return None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def _package(name: str) -> Callable[..., object]:
    kernel: Callable[..., object] = importlib.import_module(PACKAGES[name]).flash_attn_func
    return kernel
