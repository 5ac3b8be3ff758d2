"""The Wan 2.1 / 2.2 block: modulated self-attention, optional text cross-attention, feed-forward.

B rows (one latent frame each), T tokens, D width, H heads, K head width, N keys. Names follow the public checkpoints.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.cache import KV, Cache, attention_bias
from avatar_sdk.model.presets import GeneratorConfig


class RMSNorm(nn.Module):
    """x / rms(x) · weight over the full width, in float32."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) → the same."""
        y = x.float()
        return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


def rotate(x_BHTK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of adjacent pairs; cos and sin are (T, K), or (B, 1, T, K).

    A quarter turn of every pair is one small matrix product, cheaper than taking the pairs apart.
    """
    width = x_BHTK.shape[-1]
    # By comparisons: numbers written to places on a GPU come from the host, which a CUDA graph cannot hold.
    place = torch.arange(width, device=x_BHTK.device)
    row, column = place[:, None], place
    ahead, behind = (row + 1 == column) & (row % 2 == 0), (row == column + 1) & (column % 2 == 0)
    quarter_turn = ahead.to(x_BHTK.dtype) - behind.to(x_BHTK.dtype)
    return x_BHTK * cos + (x_BHTK @ quarter_turn) * sin


def attend(q_BHTK: Tensor, kv: KV, bias: Tensor | None) -> Tensor:
    """Softmax attention over all segments of `kv`; unless asked for, only scores are joined, not keys and values."""
    if kv.kernel is not None:
        return kv.kernel(q_BHTK, kv.keys, kv.values)
    if kv.joined:
        # A mask of the scores' own shape is what lets an exporter keep the kernel whole.
        keys, values = torch.cat(kv.keys, -2), torch.cat(kv.values, -2)
        full = None if bias is None else bias.expand(*q_BHTK.shape[:-1], -1)
        return F.scaled_dot_product_attention(q_BHTK, keys, values, attn_mask=full)
    if len(kv.keys) == 1:
        return F.scaled_dot_product_attention(q_BHTK, kv.keys[0], kv.values[0], attn_mask=bias)
    q_BHTK = q_BHTK / math.sqrt(q_BHTK.shape[-1])
    scores_BHTN = torch.cat([q_BHTK @ keys.transpose(-1, -2) for keys in kv.keys], -1)
    weights = torch.softmax(scores_BHTN if bias is None else scores_BHTN + bias, -1)
    mixed, start = None, 0
    for keys, values in zip(kv.keys, kv.values, strict=True):
        part = weights[..., start : start + keys.shape[-2]] @ values
        mixed = part if mixed is None else mixed + part
        start += keys.shape[-2]
    assert mixed is not None
    return mixed


class Sink(NamedTuple):
    """The portrait's own keys and values in one layer.

    Attributes:
        keys: (1 or B, H, T, K), not roped: they are roped anew at every step.
        values: the same shape.
    """

    keys: Tensor
    values: Tensor


class SelfAttention(nn.Module):
    """Multi-head attention with QK RMSNorm over the full width and 3-D RoPE."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q, self.k, self.v, self.o = (nn.Linear(config.dim, config.dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(config.dim), RMSNorm(config.dim)

    def split(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, H, T, K)."""
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def sink(self, x_BTD: Tensor) -> Sink:
        """Keys (not roped) and values of the portrait's tokens."""
        return Sink(self.split(self.norm_k(self.k(x_BTD))), self.split(self.v(x_BTD)))

    def forward(
        self,
        x_BTD: Tensor,
        rope: tuple[Tensor, Tensor],
        sink: Sink | None,
        sink_rope: tuple[Tensor, Tensor],
        cache: Cache | None,
        frame_B: Tensor,
        bias: BiasRule,
    ) -> Tensor:
        """(B, T, D) → (B, T, D). Mutates `cache`. Without a cache the tokens see themselves only."""
        q = rotate(self.split(self.norm_q(self.q(x_BTD))), *rope)
        k = rotate(self.split(self.norm_k(self.k(x_BTD))), *rope)
        v = self.split(self.v(x_BTD))
        if cache is None or sink is None:
            mixed = attend(q, KV((k,), (v,), frame_B), None)
        else:
            kv = cache.append(k, v, frame_B)
            rows = len(x_BTD)
            keys = rotate(sink.keys, *sink_rope).expand(rows, -1, -1, -1)
            values = sink.values.expand(rows, -1, -1, -1)
            kv = kv._replace(keys=(keys, *kv.keys), values=(values, *kv.values))
            mixed = attend(q, kv, bias(kv.positions))
        return torch.as_tensor(self.o(mixed.transpose(1, 2).flatten(-2)))


class BiasRule:
    """Makes the additive mask of a step; every layer asks with the same positions, so it is made once."""

    def __init__(self, frame_B: Tensor, window: int, tokens: int, ready: Tensor | None = None) -> None:
        self._frame_B, self._window, self._tokens, self._ready = frame_B, window, tokens, ready

    def __call__(self, positions: Tensor) -> Tensor:
        """(B, 1, 1, keys)."""
        if self._ready is None:
            self._ready = attention_bias(positions, self._frame_B, self._window, self._tokens)
        return self._ready


class CrossAttention(nn.Module):
    """Attention to text tokens, without positions."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q, self.k, self.v, self.o = (nn.Linear(config.dim, config.dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(config.dim), RMSNorm(config.dim)

    def forward(self, x_BTD: Tensor, text_BSD: Tensor) -> Tensor:
        """(B, T, D) and (B, S, D) → (B, T, D)."""

        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        q, k = split(self.norm_q(self.q(x_BTD))), split(self.norm_k(self.k(text_BSD)))
        mixed = F.scaled_dot_product_attention(q, k, split(self.v(text_BSD)))
        return torch.as_tensor(self.o(mixed.transpose(1, 2).flatten(-2)))


class Block(nn.Module):
    """x += attn(LN(x)(1+e1)+e0)·e2; x += cross(norm3(x)); x += ffn(LN(x)(1+e4)+e3)·e5."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        dim = config.dim
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / math.sqrt(dim))
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.self_attn = SelfAttention(config)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6) if config.text_dim else nn.Identity()
        self.cross_attn = CrossAttention(config) if config.text_dim else None
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(config.ffn_dim, dim)
        )

    def shift_and_scale(self, x_BTD: Tensor, time_B6D: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The modulated input of self-attention, and all six modulation vectors (B, 1, D)."""
        e = (self.modulation + time_B6D).unsqueeze(2).unbind(1)
        return self.norm1(x_BTD) * (1 + e[1]) + e[0], e

    def sink(self, x_BTD: Tensor, time_B6D: Tensor) -> Sink:
        """Keys (not roped) and values of the portrait's tokens in this block."""
        return self.self_attn.sink(self.shift_and_scale(x_BTD, time_B6D)[0])

    def forward(self, x_BTD: Tensor, time_B6D: Tensor, text_BSD: Tensor | None, **attention: Any) -> Tensor:
        """(B, T, D) → (B, T, D); `attention` goes to `SelfAttention.forward`."""
        modulated, e = self.shift_and_scale(x_BTD, time_B6D)
        x_BTD = x_BTD + self.self_attn(modulated, **attention) * e[2]
        if self.cross_attn is not None and text_BSD is not None:
            x_BTD = x_BTD + self.cross_attn(self.norm3(x_BTD), text_BSD)
        return x_BTD + self.ffn(self.norm2(x_BTD) * (1 + e[4]) + e[3]) * e[5]
