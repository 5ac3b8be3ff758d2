"""TAEHV, streaming: a tiny autoencoder for Wan's latents, of 2-D convolutions with a memory of one frame.

B streams, C channels, F frames, H rows, W columns, N = B·F. The only memory is each block's input of the frame before.
The decoder can go depth first: the first of four frames leaves before the others are computed. A stream's first latent
makes four frames too, of which only the last is shown. Source: the rules of the public model (TAEHV, MIT).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.video.config import BLOCKS, FRAMES, TaehvConfig
from avatar_sdk.model.video.streaming import Stream, start_stream


class MemBlock(nn.Module):
    """A residual block that also sees its own input of the frame before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BFCHW: Tensor, past_BCHW: Tensor) -> Tensor:
        """Frames that follow `past_BCHW`, which is overwritten by the newest → the same shape."""
        before_BFCHW = torch.cat([past_BCHW[:, None], x_BFCHW[:, :-1]], 1)
        past_BCHW.copy_(x_BFCHW[:, -1])
        y_NCHW = torch.cat([x_BFCHW, before_BFCHW], 2).flatten(0, 1)
        y_NCHW = self.conv3(F.relu(self.conv2(F.relu(self.conv1(y_NCHW)))))
        return F.relu(y_NCHW.view_as(x_BFCHW) + x_BFCHW)


class Pool(nn.Conv2d):
    """Some frames to one."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__(frames * channels, channels, 1, bias=False)
        self._frames = frames

    def forward(self, x_BFCHW: Tensor) -> Tensor:
        """(B, F, C, H, W) → (B, F / frames, C, H, W)."""
        groups = x_BFCHW.unflatten(1, (-1, self._frames)).flatten(2, 3)
        return super().forward(groups.flatten(0, 1)).unflatten(0, groups.shape[:2])


class Grow(nn.Conv2d):
    """One frame to some. The stored weights may make more frames; the last ones are those of the finest video."""

    def __init__(self, channels: int, frames: int, stored: int) -> None:
        super().__init__(channels, stored * channels, 1, bias=False)
        self._frames = frames

    def forward(self, x_BFCHW: Tensor) -> Tensor:
        """(B, F, C, H, W) → (B, frames·F, C, H, W)."""
        rows, _, channels = x_BFCHW.shape[:3]
        y_NCHW = F.conv2d(x_BFCHW.flatten(0, 1), self.weight[-self._frames * channels :])
        return y_NCHW.unflatten(1, (self._frames, channels)).flatten(0, 1).unflatten(0, (rows, -1))


class EncoderStage(nn.Module):
    """Fewer frames, half the size, then blocks."""

    def __init__(self, channels: int, pooling: int) -> None:
        super().__init__()
        self.pool = Pool(channels, pooling)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        self.blocks = nn.ModuleList(MemBlock(channels) for _ in range(BLOCKS))

    def forward(self, x_BFCHW: Tensor, pasts: Sequence[Tensor]) -> Tensor:
        """(B, F, C, H, W) → (B, F / pooling, C, H/2, W/2)."""
        x = self.pool(x_BFCHW)
        x = self.down(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        for block, past in zip(self.blocks, pasts, strict=True):
            x = block(x, past)
        return x


class DecoderStage(nn.Module):
    """Blocks, more frames, then twice the size."""

    def __init__(self, ins: int, outs: int, growth: int, stored: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MemBlock(ins) for _ in range(BLOCKS))
        self.grow = Grow(ins, growth, stored)
        self.proj = nn.Conv2d(ins, outs, 3, padding=1, bias=False)

    def forward(self, x_BFCHW: Tensor, pasts: Sequence[Tensor]) -> Tensor:
        """(B, F, C, H, W) → (B, growth·F, C, H, W), before `enlarge`.

        The public order is to enlarge, then to grow; a 1×1 convolution does not care, and costs a quarter before.
        """
        for block, past in zip(self.blocks, pasts, strict=True):
            x_BFCHW = block(x_BFCHW, past)
        return self.grow(x_BFCHW)

    def enlarge(self, x_BFCHW: Tensor) -> Tensor:
        """(B, F, C, H, W) → (B, F, C', 2H, 2W)."""
        x = F.interpolate(x_BFCHW.flatten(0, 1), scale_factor=2.0, mode="nearest")
        return self.proj(x).unflatten(0, x_BFCHW.shape[:2])


class TaehvEncoder(nn.Module):
    """A `StreamingEncoder`. A stream's first frame counts four times, as when the public encoder pads a still picture.

    From then on latent i is made of the frames that the decoder makes of it, 4i − 3 to 4i. The public encoder begins a
    clip with four different frames, so there latent i has seen up to three frames more, which do not exist yet live.
    """

    def __init__(self, config: TaehvConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder_width
        self.conv_in = nn.Conv2d(3 * config.patch_px**2, width, 3, padding=1)
        self.stages = nn.ModuleList(EncoderStage(width, pooling) for pooling in config.pooling)
        self.conv_out = nn.Conv2d(width, config.latent_channels, 3, padding=1)

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """See `StreamingEncoder.start`."""
        config = self.config
        cells = [2 ** (i + 1) * config.patch_px for i in range(len(self.stages))]
        memories = [(config.encoder_width, height_px // s, width_px // s) for s in cells for _ in range(BLOCKS)]
        frame = (rows, 3, height_px, width_px)
        return start_stream(self, memories, frame, config.latent_channels, config.space_px)

    def first(self, frame_BFCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingEncoder.first`."""
        stream.check_frames(frame_BFCHW, 1)
        stream.reset()
        return self._step(frame_BFCHW.expand(-1, FRAMES, -1, -1, -1), stream)

    def later(self, frames_BFCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingEncoder.later`."""
        stream.check_frames(frames_BFCHW, FRAMES)
        return self._step(frames_BFCHW, stream)

    def _step(self, frames_BFCHW: Tensor, stream: Stream) -> Tensor:
        x = F.pixel_unshuffle(frames_BFCHW.flatten(0, 1), self.config.patch_px)
        x = F.relu(self.conv_in(x)).unflatten(0, frames_BFCHW.shape[:2])
        for i, stage in enumerate(self.stages):
            x = stage(x, memories_of(i, stream))
        return self.conv_out(x[:, 0])


class TaehvDecoder(nn.Module):
    """A `StreamingDecoder` whose frames leave one by one."""

    def __init__(self, config: TaehvConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.decoder_widths
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(
            DecoderStage(a, b, growth, stored)
            for (a, b), growth, stored in zip(pairwise(widths), config.growth, config.stored_growth, strict=True)
        )
        self.conv_out = nn.Conv2d(widths[-1], 3 * config.patch_px**2, 3, padding=1)

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """See `StreamingDecoder.start`."""
        config = self.config
        cells = [config.space_px // 2**i for i in range(len(self.stages))]
        memories = [
            (c, height_px // s, width_px // s)
            for c, s in zip(config.decoder_widths[:-1], cells, strict=True)
            for _ in range(BLOCKS)
        ]
        frame = (rows, 3, height_px, width_px)
        return start_stream(self, memories, frame, config.latent_channels, config.space_px)

    def first(self, latent_BCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingDecoder.first`."""
        stream.check_latent(latent_BCHW)
        stream.reset()
        return self._wide(latent_BCHW, stream, 1)

    def later(self, latent_BCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingDecoder.later`; each stage takes all frames at once."""
        stream.check_latent(latent_BCHW)
        return self._wide(latent_BCHW, stream, FRAMES)

    def frames(self, latent_BCHW: Tensor, stream: Stream) -> Iterator[Tensor]:
        """See `StreamingDecoder.frames`; each costs only what no frame before it has paid for."""
        stream.check_latent(latent_BCHW)
        return self._deep(0, self._enter(latent_BCHW), stream)

    def _wide(self, latent_BCHW: Tensor, stream: Stream, wanted: int) -> Tensor:
        """The last `wanted` frames; nothing behind the last stage's blocks remembers, so only they pass there."""
        x = self._enter(latent_BCHW)
        for i, module in enumerate(self.stages):
            x, is_last = module(x, memories_of(i, stream)), i == len(self.stages) - 1
            x = cast(DecoderStage, module).enlarge(x[:, -wanted:] if is_last else x)
        return self._draw(x)

    def _deep(self, i: int, x_BFCHW: Tensor, stream: Stream) -> Iterator[Tensor]:
        if i == len(self.stages):
            yield self._draw(x_BFCHW)[:, 0]
            return
        stage = cast(DecoderStage, self.stages[i])
        for part in stage(x_BFCHW, memories_of(i, stream)).split(1, 1):
            yield from self._deep(i + 1, stage.enlarge(part), stream)

    def _enter(self, latent_BCHW: Tensor) -> Tensor:
        return F.relu(self.conv_in(torch.tanh(latent_BCHW / 3) * 3))[:, None]

    def _draw(self, x_BFCHW: Tensor) -> Tensor:
        y = F.pixel_shuffle(self.conv_out(F.relu(x_BFCHW.flatten(0, 1))), self.config.patch_px)
        return (y if self.training else y.clamp(0, 1)).unflatten(0, x_BFCHW.shape[:2])


def memories_of(stage: int, stream: Stream) -> tuple[Tensor, ...]:
    """Of the blocks of one stage."""
    return stream.memories[BLOCKS * stage : BLOCKS * (stage + 1)]
