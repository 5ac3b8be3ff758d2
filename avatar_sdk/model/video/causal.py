"""The Wan VAE's layers: convolutions over space and time that see this frame and those before it, never the next.

B streams, C channels, F frames, H rows, W columns. Layers take their memories from an iterator, in the order of use,
and overwrite them in place; `memories` says how large they are, without B. Zero frames before the start of a video are
the same as a memory of zeros, so a stream's first step needs no rule of its own, but where time is resampled.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.video.streaming import Shape

Past = Iterator[Tensor]
"""Memories of the layers still to come."""


class ChannelNorm(nn.Module):
    """x / |x| · √C · gamma over the channels (`RMS_norm` of the Wan VAE)."""

    def __init__(self, channels: int, dims: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *(1,) * dims))
        self._scale = channels**0.5

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) → the same."""
        return F.normalize(x, dim=1) * self._scale * self.gamma


class CausalConv(nn.Conv3d):
    """A 3-D convolution over this frame and those before it; `step` streams it.

    Args:
        ins, outs: channels.
        side: of the window in space.
        stride: in time. 1 remembers two frames, 2 only one: its windows overlap by one frame.
    """

    def __init__(self, ins: int, outs: int, side: int = 3, stride: int = 1) -> None:
        super().__init__(ins, outs, (3, side, side), stride=(stride, 1, 1), padding=(0, side // 2, side // 2))
        self._frames = 3 - stride

    def memory(self, height: int, width: int) -> Shape:
        """(C, frames, H, W)."""
        return self.in_channels, self._frames, height, width

    def step(self, x_BCFHW: Tensor, past_BCFHW: Tensor) -> Tensor:
        """The frames that follow those of `past_BCFHW`, which is overwritten by the newest."""
        x_BCFHW = torch.cat([past_BCFHW, x_BCFHW], 2)
        past_BCFHW.copy_(x_BCFHW[:, :, -self._frames :])
        return self(x_BCFHW)


class ResBlock(nn.Module):
    """Two causal convolutions beside a shortcut."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(ins)
        self.conv1 = CausalConv(ins, outs)
        self.norm2 = ChannelNorm(outs)
        self.conv2 = CausalConv(outs, outs)
        self.shortcut = nn.Conv3d(ins, outs, 1) if ins != outs else None

    def memories(self, height: int, width: int) -> list[Shape]:
        """Of both convolutions."""
        return [self.conv1.memory(height, width), self.conv2.memory(height, width)]

    def forward(self, x_BCFHW: Tensor, past: Past) -> Tensor:
        """(B, ins, F, H, W) → (B, outs, F, H, W)."""
        y = self.conv1.step(F.silu(self.norm1(x_BCFHW)), next(past))
        y = self.conv2.step(F.silu(self.norm2(y)), next(past))
        return y + (x_BCFHW if self.shortcut is None else self.shortcut(x_BCFHW))


class FrameAttention(nn.Module):
    """One head of attention among the places of each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """(B, C, F, H, W) → the same."""
        frames_NCHW = to_frames(x_BCFHW)
        qkv_NSC = self.to_qkv(self.norm(frames_NCHW)).flatten(2).transpose(1, 2)
        q, k, v = qkv_NSC[:, None].chunk(3, -1)
        mixed_NCS = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        y = self.proj(mixed_NCS.unflatten(2, frames_NCHW.shape[2:]))
        return x_BCFHW + to_video(y, x_BCFHW.shape[0])


class Middle(nn.Module):
    """The coarsest scale: block, attention, block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block1 = ResBlock(channels, channels)
        self.attention = FrameAttention(channels)
        self.block2 = ResBlock(channels, channels)

    def memories(self, height: int, width: int) -> list[Shape]:
        """Of both blocks."""
        return self.block1.memories(height, width) + self.block2.memories(height, width)

    def forward(self, x_BCFHW: Tensor, past: Past) -> Tensor:
        """(B, C, F, H, W) → the same."""
        return self.block2(self.attention(self.block1(x_BCFHW, past)), past)


class Halve(nn.Module):
    """Halves space and, if `time`, time: the first frame stays alone, then every pair becomes one."""

    def __init__(self, channels: int, time: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)
        self.time = CausalConv(channels, channels, side=1, stride=2) if time else None

    def memories(self, height: int, width: int) -> list[Shape]:
        """Of the convolution over time; the size is that before halving."""
        return [] if self.time is None else [self.time.memory(height // 2, width // 2)]

    def forward(self, x_BCFHW: Tensor, past: Past, first: bool) -> Tensor:
        """(B, C, F, H, W) → (B, C, F or F/2, H/2, W/2)."""
        x = to_video(self.conv(F.pad(to_frames(x_BCFHW), (0, 1, 0, 1))), x_BCFHW.shape[0])
        if self.time is None:
            return x
        memory = next(past)
        if first:
            memory.copy_(x)
            return x
        return self.time.step(x, memory)


class Double(nn.Module):
    """Doubles space and halves the channels; if `time`, doubles time first, but for the first frame of a stream.

    The first frame is not remembered either: to the convolution over time the second latent is the first.
    """

    def __init__(self, channels: int, time: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.time = CausalConv(channels, 2 * channels, side=1) if time else None

    def memories(self, height: int, width: int) -> list[Shape]:
        """Of the convolution over time; the size is that before doubling."""
        return [] if self.time is None else [self.time.memory(height, width)]

    def forward(self, x_BCFHW: Tensor, past: Past, first: bool) -> Tensor:
        """(B, C, F, H, W) → (B, C/2, F or 2F, 2H, 2W)."""
        if self.time is not None:
            memory = next(past)
            if not first:
                pairs = self.time.step(x_BCFHW, memory).unflatten(1, (2, -1))
                x_BCFHW = pairs.movedim(1, 3).flatten(2, 3)
        x = F.interpolate(to_frames(x_BCFHW), scale_factor=2.0, mode="nearest-exact")
        return to_video(self.conv(x), x_BCFHW.shape[0])


def to_frames(x_BCFHW: Tensor) -> Tensor:
    """(B, C, F, H, W) → (B·F, C, H, W)."""
    return x_BCFHW.transpose(1, 2).flatten(0, 1)


def to_video(x_NCHW: Tensor, rows: int) -> Tensor:
    """Inverse of `to_frames`."""
    return x_NCHW.unflatten(0, (rows, -1)).transpose(1, 2)
