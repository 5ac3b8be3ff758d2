"""Generators of the GPU tier and the pictures they are made for. Needs no torch.

A step is one latent, four video frames. The condition is what encodes the warped frames, in as many channels as the
latent has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.model.presets import GeneratorConfig

WAN_HEAD: Final = 128
"""Width of every head of every Wan."""


@dataclass(frozen=True)
class Resolution:
    """Size of the frames in pixels."""

    width_px: int
    height_px: int

    def __str__(self) -> str:
        return f"{self.width_px}×{self.height_px}"


RESOLUTIONS: Final = {
    "416p": Resolution(736, 416),
    "480p": Resolution(832, 480),
    "704p": Resolution(1280, 704),
    "720p": Resolution(1280, 720),
}
"""Name → size. 704p is 720p for codecs of 16×16 pixels a cell, into which 720 does not divide."""


def parse_resolution(word: str) -> Resolution:
    """A name of `RESOLUTIONS`, or width and height as 736x416.

    Raises:
        InvalidConfigError: neither.
    """
    if word in RESOLUTIONS:
        return RESOLUTIONS[word]
    if match := re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", word):
        return Resolution(int(match[1]), int(match[2]))
    raise InvalidConfigError(
        f"resolution is {word!r}; it must be one of {', '.join(RESOLUTIONS)}, or width and height as 736x416",
        field="resolution",
    )


@dataclass(frozen=True)
class VideoPreset:
    """A generator and the codec it works with.

    Attributes:
        generator: at the resolution and window it is made for.
        cell_px: pixels per side of a latent cell.
    """

    generator: GeneratorConfig
    cell_px: int = 8

    def at(self, resolution: Resolution, window: int | None = None) -> GeneratorConfig:
        """The generator for another picture or window; its weights are the same.

        Raises:
            InvalidConfigError: the picture does not divide into tokens, or the window is empty.
        """
        side = self.cell_px * self.generator.patch
        if resolution.width_px % side or resolution.height_px % side:
            nearest = Resolution(*(max(1, px // side) * side for px in (resolution.width_px, resolution.height_px)))
            raise InvalidConfigError(
                f"{resolution} does not divide into tokens of {side}×{side} pixels ({self.cell_px} of the codec times "
                f"{self.generator.patch} of the patch); the next smaller that does is {nearest}",
                field="resolution",
            )
        if window is not None and window < 1:
            raise InvalidConfigError(f"window is {window}; it must be 1 or more latents", field="window")
        return replace(
            self.generator,
            grid=resolution.height_px // side,
            columns=resolution.width_px // side,
            window=window or self.generator.window,
        )


def _wan(dim: int, ffn_dim: int, depth: int, grid: tuple[int, int], window: int, channels: int = 16) -> GeneratorConfig:
    return GeneratorConfig(
        dim=dim,
        depth=depth,
        heads=dim // WAN_HEAD,
        ffn_dim=ffn_dim,
        grid=grid[0],
        columns=grid[1],
        latent_channels=channels,
        condition_channels=channels,
        window=window,
        text_dim=4096,
        text_tokens=512,
        patch=2,
    )


VIDEO_PRESETS: Final = {
    "wan-1.3b": VideoPreset(_wan(1536, 8960, 30, (30, 52), window=21)),
    "wan-5b": VideoPreset(_wan(3072, 14336, 30, (22, 40), window=30, channels=48), cell_px=16),
    "wan-14b": VideoPreset(_wan(5120, 13824, 40, (26, 46), window=6)),
    "aapt-8b": VideoPreset(
        replace(_wan(3072, 4 * 3072, 36, (26, 46), window=30), text_dim=5120, text_tokens=256, streams=2)
    ),
    "dit-8b": VideoPreset(replace(_wan(4096, 4 * 4096, 40, (26, 46), window=30), text_dim=0, text_tokens=0)),
}
"""Name → generator. `aapt-8b` is the shape of AAPT's as inferred from SeedVR's: half of its weights see text only, once
per prompt. All of `dit-8b` sees video."""
TEST_PRESET: Final = VideoPreset(
    GeneratorConfig(
        dim=32,
        depth=2,
        heads=2,
        ffn_dim=64,
        grid=4,
        condition_channels=16,
        window=4,
        text_dim=16,
        freq_dim=32,
        patch=2,
        text_tokens=8,
    )
)
"""For tests, and to see `avatar bench` at work in seconds: 64×64 pixels."""
