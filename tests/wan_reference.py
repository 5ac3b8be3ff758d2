"""Wan's video transformer after its published rules, plainly: one clip, double precision, no cache, no module.

Shares no code with `avatar_sdk`. Weights are a dictionary in the published layout. D width, F frames, S text tokens.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

HEAD = 128
TEXT_TOKENS = 512
Shape = tuple[int, ...]


def public_shapes(
    dim: int, ffn: int, depth: int, channels: int = 16, text: int = 4096, freq: int = 256
) -> dict[str, Shape]:
    """Name → shape of every weight of a text-to-video Wan."""

    def linear(name: str, out: int, into: int) -> dict[str, Shape]:
        return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}

    shapes: dict[str, Shape] = {"patch_embedding.weight": (dim, channels, 1, 2, 2), "patch_embedding.bias": (dim,)}
    shapes |= linear("text_embedding.0", dim, text) | linear("text_embedding.2", dim, dim)
    shapes |= linear("time_embedding.0", dim, freq) | linear("time_embedding.2", dim, dim)
    shapes |= linear("time_projection.1", 6 * dim, dim)
    for i in range(depth):
        block = f"blocks.{i}"
        shapes[f"{block}.modulation"] = (1, 6, dim)
        shapes |= {f"{block}.norm3.{kind}": (dim,) for kind in ("weight", "bias")}
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                shapes |= linear(f"{block}.{attention}.{part}", dim, dim)
            shapes |= {f"{block}.{attention}.norm_{part}.weight": (dim,) for part in "qk"}
        shapes |= linear(f"{block}.ffn.0", ffn, dim) | linear(f"{block}.ffn.2", dim, ffn)
    shapes |= linear("head.head", 4 * channels, dim)
    shapes["head.modulation"] = (1, 2, dim)
    return shapes


def random_weights(shapes: dict[str, Shape], seed: int = 0) -> dict[str, Tensor]:
    """Float32 that bfloat16 holds exactly; activations neither die nor explode."""
    rng, made = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=rng)
        if "norm" in name and name.endswith("weight"):
            noise = 1 + 0.2 * noise
        elif name.endswith("weight"):
            noise = noise / prod(shape[1:]) ** 0.5
        else:
            noise = 0.2 * noise
        made[name] = noise.bfloat16().float()
    return made


def forward(public: dict[str, Tensor], latent_CFHW: Tensor, t: float, text_SC: Tensor) -> Tensor:
    """v (C, F, H, W) of a whole clip; every frame sees every other. `t` in [0, 1] is the share of noise."""
    w = {name: tensor.double() for name, tensor in public.items()}
    dim = len(w["patch_embedding.bias"])
    heads = dim // HEAD

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def normed(x: Tensor) -> Tensor:
        return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt()

    def rms(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w[f"{name}.weight"]

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.reshape(-1, heads, HEAD) for x in (q, k, v))
        scores = torch.einsum("qhc,khc->hqk", q, k) / HEAD**0.5
        return torch.einsum("hqk,khc->qhc", scores.softmax(-1), v).reshape(-1, dim)

    x = F.conv3d(latent_CFHW.double()[None], w["patch_embedding.weight"], w["patch_embedding.bias"], stride=(1, 2, 2))
    frames, rows, columns = x.shape[2:]
    x = x[0].flatten(1).T
    turns = _turns(frames, rows, columns)

    def turned(x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.reshape(-1, heads, HEAD // 2, 2).contiguous())
        return torch.view_as_real(pairs * turns[:, None]).reshape(-1, dim)

    freq = w["time_embedding.0.weight"].shape[1]
    angle = 1000 * t / 10000 ** (torch.arange(freq // 2, dtype=torch.float64) / (freq // 2))
    e = linear(F.silu(linear(torch.cat([angle.cos(), angle.sin()]), "time_embedding.0")), "time_embedding.2")
    six = linear(F.silu(e), "time_projection.1").reshape(6, dim)
    text = torch.zeros(TEXT_TOKENS, text_SC.shape[1], dtype=torch.float64)
    text[: len(text_SC)] = text_SC
    text = linear(F.gelu(linear(text, "text_embedding.0"), approximate="tanh"), "text_embedding.2")

    for i in range(sum(name.endswith("self_attn.q.weight") for name in w)):
        b = f"blocks.{i}"
        shift1, scale1, gate1, shift2, scale2, gate2 = w[f"{b}.modulation"][0] + six
        y = normed(x) * (1 + scale1) + shift1
        q, k = (rms(linear(y, f"{b}.self_attn.{p}"), f"{b}.self_attn.norm_{p}") for p in "qk")
        y = attention(turned(q), turned(k), linear(y, f"{b}.self_attn.v"))
        x = x + linear(y, f"{b}.self_attn.o") * gate1
        y = normed(x) * w[f"{b}.norm3.weight"] + w[f"{b}.norm3.bias"]
        q = rms(linear(y, f"{b}.cross_attn.q"), f"{b}.cross_attn.norm_q")
        k = rms(linear(text, f"{b}.cross_attn.k"), f"{b}.cross_attn.norm_k")
        x = x + linear(attention(q, k, linear(text, f"{b}.cross_attn.v")), f"{b}.cross_attn.o")
        y = normed(x) * (1 + scale2) + shift2
        x = x + linear(F.gelu(linear(y, f"{b}.ffn.0"), approximate="tanh"), f"{b}.ffn.2") * gate2

    shift, scale = w["head.modulation"][0] + e
    x = linear(normed(x) * (1 + scale) + shift, "head.head")
    x = x.reshape(frames, rows, columns, 1, 2, 2, -1)
    return torch.einsum("fhwpqrc->cfphqwr", x).reshape(-1, frames, 2 * rows, 2 * columns)


def _turns(frames: int, rows: int, columns: int) -> Tensor:
    """Complex (F·H·W, 64): of the 64 pairs of a head, 22 turn with time, 21 with the row, 21 with the column."""
    parts = []
    for axis, (count, pairs) in enumerate(((frames, 22), (rows, 21), (columns, 21))):
        speed = 10000 ** (-torch.arange(0, 2 * pairs, 2, dtype=torch.float64) / (2 * pairs))
        angle = torch.outer(torch.arange(count, dtype=torch.float64), speed)
        shape = [1, 1, 1, pairs]
        shape[axis] = count
        parts.append(torch.polar(torch.ones_like(angle), angle).reshape(shape).expand(frames, rows, columns, pairs))
    return torch.cat(parts, -1).reshape(-1, 64)
