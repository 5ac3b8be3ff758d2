"""The codec of the face-aligned crop: the latent holds only what the warp gets wrong.

B rows, C channels, H rows, W columns. Stages are counted from the coarsest.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.conditioner import GUIDE_CHANNELS
from avatar_sdk.model.presets import CodecConfig

DecoderState = list[Tensor]
"""One (B, C, H, W) activation of the previous frame per remembering stage."""


class MemoryBlock(nn.Module):
    """A residual block that also sees its own input of the previous frame (as TAEHV's)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        """`x` and the previous frame's `x`, (B, C, H, W) each."""
        return x + self.conv2(F.silu(self.conv1(torch.cat([x, past], 1))))


class Block(nn.Module):
    """A residual block without memory."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        return x + self.conv(F.silu(x))


def keep_scale(module: nn.Module) -> None:
    """Initialises every convolution so that activations keep their size: there is no norm that would restore it."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)


class Encoder(nn.Module):
    """E(frame | warp): both pictures to one latent. Used in training only."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        widths = config.channels[::-1]
        self.first = nn.Conv2d(6 * 4, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)
        keep_scale(self)
        self.register_buffer("mean", torch.zeros(config.latent_channels))
        self.register_buffer("std", torch.ones(config.latent_channels))

    def forward(self, frame_BCHW: Tensor, warp_BCHW: Tensor) -> Tensor:
        """RGB in [-1, 1], (B, 3, 256, 256) each → normalised latent (B, C, grid, grid)."""
        x = self.first(F.pixel_unshuffle(torch.cat([frame_BCHW, warp_BCHW], 1), 2))
        for conv in self.down:
            x = conv(F.silu(x))
        z = self.last(F.silu(x))
        return torch.as_tensor((z - self.mean[:, None, None]) / self.std[:, None, None])


class Decoder(nn.Module):
    """Latent and warped portrait to a residual; causal, one frame at a time.

    Weights only: the stream is the `DecoderState` from `start`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.latent = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        fine_to_coarse = (GUIDE_CHANNELS, *widths[::-1])
        self.skips = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(fine_to_coarse))
        self.blocks = nn.ModuleList(MemoryBlock(c) if i < config.memories else Block(c) for i, c in enumerate(widths))
        self.up = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 16, 3, padding=1)
        keep_scale(self)
        # An untrained decoder adds nothing: the avatar is the warp.
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)
        self.register_buffer("mean", torch.zeros(config.latent_channels))
        self.register_buffer("std", torch.ones(config.latent_channels))

    def start(self, rows: int = 1, device: str = "cpu") -> DecoderState:
        """A fresh stream: nothing was seen."""
        side = self.config.crop_px >> len(self.config.channels)
        sizes = ((c, side << i) for i, c in enumerate(self.config.channels[: self.config.memories]))
        return [torch.zeros(rows, c, s, s, device=device) for c, s in sizes]

    def forward(self, latent_BCHW: Tensor, guide_BCHW: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """One frame.

        Args:
            latent_BCHW: normalised latent (B, C, grid, grid).
            guide_BCHW: warped crop and pose maps (B, 11, 256, 256) in [-1, 1].
            state: of the previous frame; not changed.

        Returns:
            residual (B, 4, 256, 256): RGB delta (1 = full range) and mask logit; and the state for the next frame.
        """
        skips = self._skips(guide_BCHW)
        following: DecoderState = []
        x = self.latent(latent_BCHW * self.std[:, None, None] + self.mean[:, None, None])
        for i, block in enumerate(self.blocks):
            if i:
                x = F.interpolate(self.up[i - 1](x), scale_factor=2.0, mode="nearest")
            x = x + skips[i]
            if i < self.config.memories:
                following.append(x)
                x = block(x, state[i])
            else:
                x = block(x)
        return F.pixel_shuffle(self.last(F.silu(x)), 2), following

    def clip(self, latents_BFCHW: Tensor, guides_BFCHW: Tensor) -> Tensor:
        """A whole clip at once: every stage sees all frames, and the one before each. (B, F, 4, 256, 256).

        The oracle of `forward`: streamed equals whole.
        """
        rows, frames = latents_BFCHW.shape[:2]
        skips = self._skips(guides_BFCHW.flatten(0, 1))
        x = self.latent(latents_BFCHW.flatten(0, 1) * self.std[:, None, None] + self.mean[:, None, None])
        for i, block in enumerate(self.blocks):
            if i:
                x = F.interpolate(self.up[i - 1](x), scale_factor=2.0, mode="nearest")
            x = x + skips[i]
            if i < self.config.memories:
                clip = x.unflatten(0, (rows, frames))
                past = torch.cat([torch.zeros_like(clip[:, :1]), clip[:, :-1]], 1)
                x = block(x, past.flatten(0, 1))
            else:
                x = block(x)
        return F.pixel_shuffle(self.last(F.silu(x)), 2).unflatten(0, (rows, frames))

    def _skips(self, guide_BCHW: Tensor) -> list[Tensor]:
        """The warped portrait at every stage, coarsest first."""
        x, pyramid = self.skips[0](guide_BCHW), []
        for conv in self.skips[1:]:
            pyramid.append(x)
            x = conv(F.silu(x))
        return [x, *pyramid[::-1]]
