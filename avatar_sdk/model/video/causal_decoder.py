"""From latents to frames through causal convolutions: the body of the Wan VAE's decoder and of the light one.

B streams, C channels, F frames, H rows, W columns. Scales are counted from the coarsest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.video.causal import CausalConv, ChannelNorm, Double, Middle, Past, ResBlock
from avatar_sdk.model.video.streaming import Shape, Stream, start_stream


class DecoderScale(nn.Module):
    """Residual blocks, then the step to the next finer scale."""

    def __init__(self, ins: int, outs: int, blocks: int, time: bool | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResBlock(outs if i else ins, outs) for i in range(blocks))
        self.finer = None if time is None else Double(outs, time)

    def memories(self, height: int, width: int) -> Iterator[Shape]:
        """Of all layers; the size is this scale's."""
        for block in self.blocks:
            yield from cast(ResBlock, block).memories(height, width)
        if self.finer is not None:
            yield from self.finer.memories(height, width)

    def forward(self, x_BCFHW: Tensor, past: Past, first: bool) -> Tensor:
        """(B, ins, F, H, W) → (B, outs, F, H, W), or as `Double` says."""
        for block in self.blocks:
            x_BCFHW = block(x_BCFHW, past)
        return x_BCFHW if self.finer is None else self.finer(x_BCFHW, past, first)


class CausalDecoder(nn.Module):
    """A `StreamingDecoder` without the latent's scaling, which `expand` adds.

    Args:
        latent_channels: of the latent.
        widths: channels per scale, from coarse to fine; the step between two scales halves them first.
        blocks: per scale.
        doubles_time: one entry per step between scales.
        middle: whether block, attention and block come before the first scale.
    """

    def __init__(
        self, latent_channels: int, widths: Sequence[int], blocks: int, doubles_time: Sequence[bool], *, middle: bool
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.conv_in = CausalConv(latent_channels, widths[0])
        self.middle = Middle(widths[0]) if middle else None
        ins = (widths[0], *(w // 2 for w in widths[:-1]))
        self.scales = nn.ModuleList(
            DecoderScale(a, b, blocks, time) for a, b, time in zip(ins, widths, (*doubles_time, None), strict=True)
        )
        self.norm = ChannelNorm(widths[-1])
        self.conv_out = CausalConv(widths[-1], 3)

    def expand(self, latent_BCFHW: Tensor) -> Tensor:
        """A normalised latent as the network takes it."""
        return latent_BCFHW

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """See `StreamingDecoder.start`."""
        space_px = 2 ** (len(self.scales) - 1)
        memories = self._memories(height_px // space_px, width_px // space_px)
        return start_stream(self, memories, (rows, 3, height_px, width_px), self.latent_channels, space_px)

    def first(self, latent_BCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingDecoder.first`."""
        stream.check_latent(latent_BCHW)
        stream.reset()
        return self._step(latent_BCHW, stream, True)

    def later(self, latent_BCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingDecoder.later`."""
        stream.check_latent(latent_BCHW)
        return self._step(latent_BCHW, stream, False)

    def frames(self, latent_BCHW: Tensor, stream: Stream) -> Iterator[Tensor]:
        """See `StreamingDecoder.frames`; here all four are computed together."""
        return iter(self.later(latent_BCHW, stream).unbind(1))

    def _step(self, latent_BCHW: Tensor, stream: Stream, first: bool) -> Tensor:
        past = iter(stream.memories)
        x = self.conv_in.step(self.expand(latent_BCHW[:, :, None]), next(past))
        if self.middle is not None:
            x = self.middle(x, past)
        for scale in self.scales:
            x = scale(x, past, first)
        x_BCFHW = self.conv_out.step(F.silu(self.norm(x)), next(past))
        if not self.training:
            x_BCFHW = x_BCFHW.clamp(-1, 1)
        return ((x_BCFHW + 1) / 2).transpose(1, 2)

    def _memories(self, height: int, width: int) -> Iterator[Shape]:
        yield self.conv_in.memory(height, width)
        if self.middle is not None:
            yield from self.middle.memories(height, width)
        for i, scale in enumerate(self.scales):
            yield from cast(DecoderScale, scale).memories(height << i, width << i)
        yield self.conv_out.memory(height << len(self.scales) - 1, width << len(self.scales) - 1)
