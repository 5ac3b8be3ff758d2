"""The Wan 2.1 VAE, streaming: 4× in time, 8× in space, 16 latent channels.

B streams, C channels, F frames, H rows, W columns. Source: the rules of the public model (Wan 2.1, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.video.causal import CausalConv, ChannelNorm, Halve, Middle, Past, ResBlock
from avatar_sdk.model.video.causal_decoder import CausalDecoder
from avatar_sdk.model.video.config import FRAMES, WanVaeConfig
from avatar_sdk.model.video.streaming import Shape, Stream, start_stream


class EncoderScale(nn.Module):
    """Residual blocks, then the step to the next coarser scale."""

    def __init__(self, ins: int, outs: int, blocks: int, time: bool | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResBlock(outs if i else ins, outs) for i in range(blocks))
        self.coarser = None if time is None else Halve(outs, time)

    def memories(self, height: int, width: int) -> Iterator[Shape]:
        """Of all layers; the size is this scale's."""
        for block in self.blocks:
            yield from cast(ResBlock, block).memories(height, width)
        if self.coarser is not None:
            yield from self.coarser.memories(height, width)

    def forward(self, x_BCFHW: Tensor, past: Past, first: bool) -> Tensor:
        """(B, ins, F, H, W) → (B, outs, F, H, W), or as `Halve` says."""
        for block in self.blocks:
            x_BCFHW = block(x_BCFHW, past)
        return x_BCFHW if self.coarser is None else self.coarser(x_BCFHW, past, first)


class WanEncoder(nn.Module):
    """A `StreamingEncoder`; the latent is the mean of the predicted distribution."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: WanVaeConfig) -> None:
        super().__init__()
        self.config = config
        widths, channels = config.widths, 2 * config.latent_channels
        self.conv_in = CausalConv(3, widths[0])
        self.scales = nn.ModuleList(
            EncoderScale(a, b, config.blocks, time)
            for a, b, time in zip((widths[0], *widths[:-1]), widths, (*config.halves_time, None), strict=True)
        )
        self.middle = Middle(widths[-1])
        self.norm = ChannelNorm(widths[-1])
        self.conv_out = CausalConv(widths[-1], channels)
        self.moments = nn.Conv3d(channels, channels, 1)
        keep_scaling(self, config)

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """See `StreamingEncoder.start`."""
        frame, config = (rows, 3, height_px, width_px), self.config
        memories = self._memories(height_px, width_px)
        return start_stream(self, memories, frame, config.latent_channels, config.space_px)

    def first(self, frame_BFCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingEncoder.first`."""
        stream.check_frames(frame_BFCHW, 1)
        stream.reset()
        return self._step(frame_BFCHW, stream, True)

    def later(self, frames_BFCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingEncoder.later`."""
        stream.check_frames(frames_BFCHW, FRAMES)
        return self._step(frames_BFCHW, stream, False)

    def _step(self, frames_BFCHW: Tensor, stream: Stream, first: bool) -> Tensor:
        past = iter(stream.memories)
        x = self.conv_in.step(2 * frames_BFCHW.transpose(1, 2) - 1, next(past))
        for scale in self.scales:
            x = scale(x, past, first)
        x = self.middle(x, past)
        x = self.moments(self.conv_out.step(F.silu(self.norm(x)), next(past)))
        mu_BCHW = x[:, : self.config.latent_channels, 0]
        return (mu_BCHW - self.mean[:, None, None]) / self.std[:, None, None]

    def _memories(self, height: int, width: int) -> Iterator[Shape]:
        yield self.conv_in.memory(height, width)
        for i, scale in enumerate(self.scales):
            yield from cast(EncoderScale, scale).memories(height >> i, width >> i)
        height, width = height >> len(self.scales) - 1, width >> len(self.scales) - 1
        yield from self.middle.memories(height, width)
        yield self.conv_out.memory(height, width)


class WanDecoder(CausalDecoder):
    """A `StreamingDecoder`."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: WanVaeConfig) -> None:
        channels, times = config.latent_channels, config.halves_time[::-1]
        super().__init__(channels, config.widths[::-1], config.blocks + 1, times, middle=True)
        self.config = config
        self.latent = nn.Conv3d(channels, channels, 1)
        keep_scaling(self, config)

    def expand(self, latent_BCFHW: Tensor) -> Tensor:
        """A normalised latent as the network takes it."""
        return self.latent(latent_BCFHW * self.std[:, None, None, None] + self.mean[:, None, None, None])


def keep_scaling(module: nn.Module, config: WanVaeConfig) -> None:
    """Registers mean and std. They belong to the config, not to the weights, so they exist on the meta device too."""
    module.register_buffer("mean", torch.tensor(config.mean, device="cpu"), persistent=False)
    module.register_buffer("std", torch.tensor(config.std, device="cpu"), persistent=False)
