"""The Wan VAE by its published rules, a whole clip at once, from weights under their public names.

Shares no code with the product: plain functions over a dict of tensors. (B, C, F, H, W); pixels in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_sdk.model.video.config import WAN_MEAN, WAN_STD

Weights = dict[str, Tensor]
MULTIPLES = (1, 2, 4, 4)


def public_shapes(width: int = 96, z: int = 16) -> dict[str, tuple[int, ...]]:
    """Every weight of the public checkpoint, written down from its key list."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *weight: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = weight
        if bias:
            shapes[f"{name}.bias"] = weight[:1]

    def res(name: str, ins: int, outs: int) -> None:
        shapes[f"{name}.residual.0.gamma"] = (ins, 1, 1, 1)
        add(f"{name}.residual.2", outs, ins, 3, 3, 3)
        shapes[f"{name}.residual.3.gamma"] = (outs, 1, 1, 1)
        add(f"{name}.residual.6", outs, outs, 3, 3, 3)
        if ins != outs:
            add(f"{name}.shortcut", outs, ins, 1, 1, 1)

    def middle(part: str, c: int) -> None:
        res(f"{part}.middle.0", c, c)
        shapes[f"{part}.middle.1.norm.gamma"] = (c, 1, 1)
        add(f"{part}.middle.1.to_qkv", 3 * c, c, 1, 1)
        add(f"{part}.middle.1.proj", c, c, 1, 1)
        res(f"{part}.middle.2", c, c)

    one, two, four = width, 2 * width, 4 * width
    add("encoder.conv1", one, 3, 3, 3, 3)
    for i, (ins, outs) in {0: (one, one), 1: (one, one), 3: (one, two), 4: (two, two)}.items():
        res(f"encoder.downsamples.{i}", ins, outs)
    for i, (ins, outs) in {6: (two, four), 7: (four, four), 9: (four, four), 10: (four, four)}.items():
        res(f"encoder.downsamples.{i}", ins, outs)
    for i, c in {2: one, 5: two, 8: four}.items():
        add(f"encoder.downsamples.{i}.resample.1", c, c, 3, 3)
    for i, c in {5: two, 8: four}.items():
        add(f"encoder.downsamples.{i}.time_conv", c, c, 3, 1, 1)
    middle("encoder", four)
    shapes["encoder.head.0.gamma"] = (four, 1, 1, 1)
    add("encoder.head.2", 2 * z, four, 3, 3, 3)
    add("conv1", 2 * z, 2 * z, 1, 1, 1)
    add("conv2", z, z, 1, 1, 1)
    add("decoder.conv1", four, z, 3, 3, 3)
    middle("decoder", four)
    for i in (0, 1, 2, 5, 6):
        res(f"decoder.upsamples.{i}", four, four)
    res("decoder.upsamples.4", two, four)
    for i in (8, 9, 10):
        res(f"decoder.upsamples.{i}", two, two)
    for i in (12, 13, 14):
        res(f"decoder.upsamples.{i}", one, one)
    for i in (3, 7):
        add(f"decoder.upsamples.{i}.resample.1", two, four, 3, 3)
        add(f"decoder.upsamples.{i}.time_conv", 2 * four, four, 3, 1, 1)
    add("decoder.upsamples.11.resample.1", one, two, 3, 3)
    shapes["decoder.head.0.gamma"] = (one, 1, 1, 1)
    add("decoder.head.2", 3, one, 3, 3, 3)
    return shapes


def encode(w: Weights, pixels: Tensor) -> Tensor:
    """1 + 4n frames (B, 3, F, H, W) → normalised latents (B, 16, 1 + n, h, w)."""
    x = causal(w, "encoder.conv1", pixels)
    for i in range(11):
        name = f"encoder.downsamples.{i}"
        if i not in (2, 5, 8):
            x = residual(w, name, x)
            continue
        padded = F.pad(x, (0, 1, 0, 1))
        x = frames(padded, lambda y, n=name: F.conv2d(y, w[f"{n}.resample.1.weight"], w[f"{n}.resample.1.bias"], 2))
        if i != 2:  # the first frame stays alone, then windows of three frames in steps of two
            y = F.conv3d(x, w[f"{name}.time_conv.weight"], w[f"{name}.time_conv.bias"], (2, 1, 1))
            x = torch.cat([x[:, :, :1], y], 2)
    x = middle(w, "encoder", x)
    x = causal(w, "encoder.head.2", F.silu(norm(x, w["encoder.head.0.gamma"])))
    x = F.conv3d(x, w["conv1.weight"], w["conv1.bias"])
    mean, std = (torch.tensor(part)[:, None, None, None] for part in (WAN_MEAN, WAN_STD))
    return (x[:, :16] - mean) / std


def decode(w: Weights, latents: Tensor) -> Tensor:
    """Normalised latents (B, 16, 1 + n, h, w) → 1 + 4n frames (B, 3, F, H, W)."""
    mean, std = (torch.tensor(part)[:, None, None, None] for part in (WAN_MEAN, WAN_STD))
    x = F.conv3d(latents * std + mean, w["conv2.weight"], w["conv2.bias"])
    x = middle(w, "decoder", causal(w, "decoder.conv1", x))
    for i in range(15):
        name = f"decoder.upsamples.{i}"
        if i not in (3, 7, 11):
            x = residual(w, name, x)
            continue
        if i != 11:  # the first frame is neither doubled nor seen by those after it
            y = causal(w, f"{name}.time_conv", x[:, :, 1:])
            even, odd = y.chunk(2, 1)
            x = torch.cat([x[:, :, :1], torch.stack([even, odd], 3).flatten(2, 3)], 2)
        big = x.repeat_interleave(2, 3).repeat_interleave(2, 4)
        x = frames(big, lambda y, n=name: F.conv2d(y, w[f"{n}.resample.1.weight"], w[f"{n}.resample.1.bias"], 1, 1))
    x = F.silu(norm(x, w["decoder.head.0.gamma"]))
    return causal(w, "decoder.head.2", x).clamp(-1, 1)


def causal(w: Weights, name: str, x: Tensor) -> Tensor:
    """A convolution in space and time, with two frames of zeros before the first."""
    kernel = w[f"{name}.weight"]
    side = kernel.shape[-1] // 2
    if not x.shape[2]:
        return x.new_zeros(x.shape[0], kernel.shape[0], *x.shape[2:])
    return F.conv3d(F.pad(x, (side, side, side, side, 2, 0)), kernel, w[f"{name}.bias"])


def norm(x: Tensor, gamma: Tensor) -> Tensor:
    """By the root of the mean square over channels."""
    return x / x.square().mean(1, keepdim=True).sqrt() * gamma


def residual(w: Weights, name: str, x: Tensor) -> Tensor:
    y = causal(w, f"{name}.residual.2", F.silu(norm(x, w[f"{name}.residual.0.gamma"])))
    y = causal(w, f"{name}.residual.6", F.silu(norm(y, w[f"{name}.residual.3.gamma"])))
    if f"{name}.shortcut.weight" in w:
        x = F.conv3d(x, w[f"{name}.shortcut.weight"], w[f"{name}.shortcut.bias"])
    return x + y


def middle(w: Weights, part: str, x: Tensor) -> Tensor:
    x = residual(w, f"{part}.middle.0", x)
    x = x + frames(x, lambda y: attention(w, f"{part}.middle.1", y))
    return residual(w, f"{part}.middle.2", x)


def attention(w: Weights, name: str, x: Tensor) -> Tensor:
    """One head over the places of one frame, (B, C, H, W)."""
    y = F.conv2d(norm(x, w[f"{name}.norm.gamma"]), w[f"{name}.to_qkv.weight"], w[f"{name}.to_qkv.bias"])
    q, k, v = y.flatten(2).chunk(3, 1)
    scores = torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5
    mixed = torch.einsum("bij,bcj->bci", scores.softmax(-1), v).view_as(x)
    return F.conv2d(mixed, w[f"{name}.proj.weight"], w[f"{name}.proj.bias"])


def frames(x: Tensor, function) -> Tensor:  # type: ignore[no-untyped-def]
    """A function of (B, C, H, W), frame by frame."""
    return torch.stack([function(frame) for frame in x.unbind(2)], 2)
