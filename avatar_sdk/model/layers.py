"""The Wan 2.1 / 2.2 block: modulated self-attention, optional text cross-attention, feed-forward.

B rows (one latent frame each), T tokens, S text tokens, D width, H heads, K head width, N keys. Names follow the public
checkpoints. Modulation and what blocks add to are float32, whatever type the large matrices are of.
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
        if x.is_cuda and x.dtype == self.weight.dtype:  # one kernel for eight
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
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
    return (x_BHTK * cos + (x_BHTK @ quarter_turn) * sin).to(x_BHTK.dtype)


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


class Prompt(NamedTuple):
    """The text's keys and values in one layer; they stay the same for a whole stream.

    Attributes:
        keys: (1 or B, H, S, K), without positions.
        values: the same shape.
    """

    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """What all attention has: projections, and QK RMSNorm over the full width."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q, self.k, self.v, self.o = (nn.Linear(config.dim, config.dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(config.dim), RMSNorm(config.dim)

    def split(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, H, T, K)."""
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def queries(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, H, T, K), without positions."""
        return self.split(self.norm_q(self.q(x_BTD)))

    def keys(self, x_BTD: Tensor) -> Tensor:
        """Likewise."""
        return self.split(self.norm_k(self.k(x_BTD)))

    def values(self, x_BTD: Tensor) -> Tensor:
        """Likewise."""
        return self.split(self.v(x_BTD))

    def output(self, mixed_BHTK: Tensor) -> Tensor:
        """(B, H, T, K) → (B, T, D)."""
        return torch.as_tensor(self.o(mixed_BHTK.transpose(1, 2).flatten(-2)))


class SelfAttention(Attention):
    """Attention among frames, with 3-D RoPE."""

    def sink(self, x_BTD: Tensor) -> Sink:
        """Keys (not roped) and values of the portrait's tokens."""
        return Sink(self.keys(x_BTD), self.values(x_BTD))

    def forward(
        self,
        x_BTD: Tensor,
        rope: tuple[Tensor, Tensor],
        sink: Sink | None,
        sink_rope: tuple[Tensor, Tensor],
        cache: Cache | None,
        frame_B: Tensor,
        bias: BiasRule,
        prompt: Prompt | None = None,
    ) -> Tensor:
        """(B, T, D) → (B, T, D). Mutates `cache`; without one the tokens see no other frame.

        Keys stand in the order text, sink, cache.
        """
        q = rotate(self.queries(x_BTD), *rope)
        k = rotate(self.keys(x_BTD), *rope)
        v = self.values(x_BTD)
        kv = KV((k,), (v,), frame_B) if cache is None else cache.append(k, v, frame_B)
        ahead: list[tuple[Tensor, Tensor]] = [] if prompt is None else [prompt]
        if sink is not None:
            ahead.append((rotate(sink.keys, *sink_rope), sink.values))
        shared = [tuple(part.expand(len(x_BTD), -1, -1, -1) for part in pair) for pair in ahead]
        keys, values = ((*(pair[i] for pair in shared), *kept) for i, kept in enumerate((kv.keys, kv.values)))
        mask = None if cache is None else bias(kv.positions).to(q.dtype)
        return self.output(attend(q, kv._replace(keys=keys, values=values), mask))


class BiasRule:
    """Makes the additive mask of a step; every layer asks with the same positions, so it is made once."""

    def __init__(
        self, frame_B: Tensor, window: int, tokens: int, ready: Tensor | None = None, ahead: int | None = None
    ) -> None:
        """`ahead`: keys in front of the cache's; None = those of the sink."""
        self._frame_B, self._window, self._tokens, self._ready = frame_B, window, tokens, ready
        self._ahead = tokens if ahead is None else ahead

    def __call__(self, positions: Tensor) -> Tensor:
        """(B, 1, 1, keys)."""
        if self._ready is None:
            self._ready = attention_bias(positions, self._frame_B, self._window, self._tokens, self._ahead)
        return self._ready


class TextAttention(Attention):
    """Attention to text tokens, without positions."""

    def read(self, text_BSD: Tensor) -> Prompt:
        """Keys and values of the text."""
        return Prompt(self.keys(text_BSD), self.values(text_BSD))

    def forward(self, x_BTD: Tensor, prompt: Prompt) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        rows = len(x_BTD)
        keys, values = (part.expand(rows, -1, -1, -1) for part in prompt)
        return self.output(F.scaled_dot_product_attention(self.queries(x_BTD), keys, values))


def feed_forward(config: GeneratorConfig) -> nn.Sequential:
    """Two layers with GELU (tanh) between."""
    return nn.Sequential(
        nn.Linear(config.dim, config.ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(config.ffn_dim, config.dim)
    )


class TextBlock(nn.Module):
    """x += attn(LN(x)); x += ffn(LN(x)): a text's own stream, which sees only itself and knows no time (MMDiT)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(config.dim, eps=1e-6) for _ in range(2))
        self.self_attn = TextAttention(config)
        self.ffn = feed_forward(config)

    def forward(self, x_BSD: Tensor) -> tuple[Tensor, Prompt]:
        """The text for the next block, and what the picture's block of the same depth sees of it."""
        dtype = self.self_attn.norm_q.weight.dtype
        x_normed_BSD = self.norm1(x_BSD.float()).to(dtype)
        prompt = self.self_attn.read(x_normed_BSD)
        x_BSD = x_BSD + self.self_attn(x_normed_BSD, prompt)
        return x_BSD + self.ffn(self.norm2(x_BSD.float()).to(dtype)), prompt


class Block(nn.Module):
    """x += attn(LN(x)(1+e1)+e0)·e2; x += cross(norm3(x)); x += ffn(LN(x)(1+e4)+e3)·e5."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        dim = config.dim
        crossed = config.text_dim > 0 and config.streams == 1
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / math.sqrt(dim))
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.self_attn = SelfAttention(config)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6) if crossed else nn.Identity()
        self.cross_attn = TextAttention(config) if crossed else None
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.ffn = feed_forward(config)

    @property
    def dtype(self) -> torch.dtype:
        """Of the large matrices, as they take their input."""
        return self.self_attn.norm_q.weight.dtype  # matrices themselves may be held in fewer bits

    def shift_and_scale(self, x_BTD: Tensor, time_B6D: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The modulated input of self-attention, and all six modulation vectors (B, 1, D)."""
        e = (self.modulation + time_B6D).unsqueeze(2).unbind(1)
        return (self.norm1(x_BTD) * (1 + e[1]) + e[0]).to(self.dtype), e

    def sink(self, x_BTD: Tensor, time_B6D: Tensor) -> Sink:
        """Keys (not roped) and values of the portrait's tokens in this block."""
        return self.self_attn.sink(self.shift_and_scale(x_BTD, time_B6D)[0])

    def read(self, text_BSD: Tensor) -> Prompt:
        """Keys and values of the text in this block."""
        assert self.cross_attn is not None, "only with text and one stream"
        return self.cross_attn.read(text_BSD)

    def forward(self, x_BTD: Tensor, time_B6D: Tensor, prompt: Prompt | None, **attention: Any) -> Tensor:
        """(B, T, D) → (B, T, D); `attention` goes to `SelfAttention.forward`."""
        modulated, e = self.shift_and_scale(x_BTD, time_B6D)
        beside = prompt if self.cross_attn is None else None
        x_BTD = x_BTD + self.self_attn(modulated, prompt=beside, **attention) * e[2]
        if self.cross_attn is not None and prompt is not None:
            x_BTD = x_BTD + self.cross_attn(self.norm3(x_BTD).to(self.dtype), prompt)
        return x_BTD + self.ffn((self.norm2(x_BTD) * (1 + e[4]) + e[3]).to(self.dtype)) * e[5]
