"""TAEHV by its published rules, a whole clip at once, from weights under their public names.

Shares no code with the product: plain functions over a dict of tensors. (B, F, C, H, W); pixels in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
Widths = tuple[int, int, int, int]


def public_shapes(
    z: int = 16,
    patch: int = 1,
    width: int = 64,
    widths: Widths = (256, 128, 64, 64),
    stored: tuple[int, ...] = (1, 2, 2),
) -> dict[str, tuple[int, ...]]:
    """Every weight of the public checkpoint, written down from its key list."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outs: int, ins: int, side: int = 3, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (outs, ins, side, side)
        if bias:
            shapes[f"{name}.bias"] = (outs,)

    def memory_block(name: str, c: int) -> None:
        conv(f"{name}.conv.0", c, 2 * c)
        conv(f"{name}.conv.2", c, c)
        conv(f"{name}.conv.4", c, c)

    conv("encoder.0", width, 3 * patch**2)
    for pool, frames in ((2, 2), (7, 2), (12, 1)):
        conv(f"encoder.{pool}.conv", width, frames * width, 1, bias=False)
        conv(f"encoder.{pool + 1}", width, width, bias=False)
        for i in range(pool + 2, pool + 5):
            memory_block(f"encoder.{i}", width)
    conv("encoder.17", z, width)
    conv("decoder.1", widths[0], z)
    for stage, grow in enumerate((7, 13, 19)):
        for i in range(grow - 4, grow - 1):
            memory_block(f"decoder.{i}", widths[stage])
        conv(f"decoder.{grow}.conv", stored[stage] * widths[stage], widths[stage], 1, bias=False)
        conv(f"decoder.{grow + 1}", widths[stage + 1], widths[stage], bias=False)
    conv("decoder.22", 3 * patch**2, widths[3])
    return shapes


def encode(w: Weights, pixels: Tensor, patch: int = 1) -> Tensor:
    """4n frames (B, F, 3, H, W) → n latents (B, n, z, h, w)."""
    x = frames(pixels, lambda y: plain(w, "encoder.0", F.pixel_unshuffle(y, patch)).relu())
    for pool, count in ((2, 2), (7, 2), (12, 1)):
        groups = [torch.cat(group.unbind(1), 1) for group in x.split(count, 1)]
        x = torch.stack([F.conv2d(group, w[f"encoder.{pool}.conv.weight"]) for group in groups], 1)
        x = frames(x, lambda y, n=pool + 1: F.conv2d(y, w[f"encoder.{n}.weight"], None, 2, 1))
        for i in range(pool + 2, pool + 5):
            x = memory_block(w, f"encoder.{i}", x)
    return frames(x, lambda y: plain(w, "encoder.17", y))


def decode(w: Weights, latents: Tensor, patch: int = 1) -> Tensor:
    """1 + n latents (B, 1 + n, z, h, w) → 1 + 4n frames (B, F, 3, H, W): the first three are trimmed."""
    x = frames(latents, lambda y: plain(w, "decoder.1", 3 * torch.tanh(y / 3)).relu())
    for grow, count in ((7, 1), (13, 2), (19, 2)):
        for i in range(grow - 4, grow - 1):
            x = memory_block(w, f"decoder.{i}", x)
        x = x.repeat_interleave(2, 3).repeat_interleave(2, 4)
        kernel = w[f"decoder.{grow}.conv.weight"][-count * x.shape[2] :]  # the last rows are the last frames
        grown = [F.conv2d(frame, kernel).chunk(count, 1) for frame in x.unbind(1)]
        x = torch.stack([part for parts in grown for part in parts], 1)
        x = frames(x, lambda y, n=grow + 1: F.conv2d(y, w[f"decoder.{n}.weight"], None, 1, 1))
    x = frames(x, lambda y: F.pixel_shuffle(plain(w, "decoder.22", y.relu()), patch))
    return x.clamp(0, 1)[:, 3:]


def memory_block(w: Weights, name: str, x: Tensor) -> Tensor:
    """Every frame beside the one before it; zeros before the first."""
    past = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
    y = frames(torch.cat([x, past], 2), lambda z: plain(w, f"{name}.conv.0", z).relu())
    y = frames(y, lambda z: plain(w, f"{name}.conv.4", plain(w, f"{name}.conv.2", z).relu()))
    return (x + y).relu()


def plain(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], 1, 1)


def frames(x: Tensor, function) -> Tensor:  # type: ignore[no-untyped-def]
    """A function of (B, C, H, W), frame by frame."""
    return torch.stack([function(frame) for frame in x.unbind(1)], 1)
