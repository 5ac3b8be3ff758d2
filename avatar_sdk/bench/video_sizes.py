"""What a benchmark of a large generator is made of: preset, resolution, window and codec, by their names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.model.presets import PRESETS, GeneratorConfig
from avatar_sdk.model.video.config import (
    VIDEO_CODECS,
    LightConfig,
    StemConfig,
    TaehvConfig,
    VideoCodecConfig,
    WanVaeConfig,
)
from avatar_sdk.model.video_presets import TEST_PRESET, VIDEO_PRESETS, Resolution, VideoPreset, parse_resolution

MEASURED: Final = {"test": TEST_PRESET, **VIDEO_PRESETS}
"""Name → generator."""
TEST_CODECS: Final = {
    "taehv": VideoCodecConfig(*2 * (TaehvConfig(encoder_width=8, decoder_widths=(8, 8, 4, 4)),)),
    "light": VideoCodecConfig(WanVaeConfig(width=4), LightConfig(widths=(4, 4, 8, 8)), StemConfig(widths=(8, 8))),
    "wan": VideoCodecConfig(*2 * (WanVaeConfig(width=4),)),
}
CODECS: Final = {
    (16, 8): {name: VIDEO_CODECS[ours] for name, ours in (("taehv", "taew2.1"), ("light", "light"), ("wan", "wan2.1"))},
    (48, 16): {"taehv": VIDEO_CODECS["taew2.2"]},
}
"""Channels of a latent and pixels of its cell → name → codec."""
STEM_WIDTHS: Final = {8: (32, 128), 16: (32, 128, 128)}
"""Pixels of a cell → widths of a stem that ends there."""
TEST_SIZES: Final = ("64x64", "96x64")
SIZES: Final = ("416p", "480p", "720p")
COARSE_SIZES: Final = ("416p", "480p", "704p")
"""For codecs of 16×16 pixels a cell."""


@dataclass(frozen=True)
class VideoSize:
    """One measurement's shapes.

    Attributes:
        name: of the preset.
        generator: at the resolution and window.
        codec: for its latents.
        codec_name: "taehv", "light" or "wan".
        resolution: of the frames.
    """

    name: str
    generator: GeneratorConfig
    codec: VideoCodecConfig
    codec_name: str
    resolution: Resolution

    def __str__(self) -> str:
        g = self.generator
        return (
            f"{self.name}, {self.resolution} ({g.tokens} tokens), window {g.window}, codec {self.codec_name}, "
            f"condition by {'a stem' if self.codec.stem else 'the codec'}"
        )


def video_size(
    preset: str, resolution: str = "", window: int | None = None, codec: str = "taehv", stem: bool = False
) -> VideoSize:
    """Finds everything by name.

    Args:
        preset: a key of `MEASURED`.
        resolution: a name, or width and height as 736x416; "" = what the preset is made for.
        window: None = what the preset is made for.
        codec: "taehv", "light" or "wan".
        stem: whether a stem encodes the condition where the codec's own encoder would.

    Raises:
        InvalidConfigError: no such preset, resolution or codec, or they do not fit each other.
    """
    made = find_preset(preset)
    g = made.generator
    side = made.cell_px * g.patch
    own = Resolution(g.grid_shape[1] * side, g.grid_shape[0] * side)
    size = parse_resolution(resolution) if resolution else own
    codecs = TEST_CODECS if preset == "test" else CODECS[g.latent_channels, made.cell_px]
    if codec not in codecs:
        raise InvalidConfigError(f"codec is {codec!r}; for {preset} it must be {' or '.join(codecs)}", field="codec")
    chosen = codecs[codec]
    if stem and chosen.stem is None:
        channels = chosen.decoder.latent_channels
        chosen = replace(chosen, stem=StemConfig(latent_channels=channels, widths=STEM_WIDTHS[made.cell_px]))
    return VideoSize(preset, made.at(size, window), chosen, codec, size)


def find_preset(name: str) -> VideoPreset:
    """A large generator by its name.

    Raises:
        InvalidConfigError: there is none.
    """
    if name not in MEASURED:
        hint = "; sessions of it are measured with --sessions" if name in PRESETS else ""
        raise InvalidConfigError(f"preset is {name!r}; it must be one of {', '.join(MEASURED)}{hint}", field="preset")
    return MEASURED[name]


def swept_sizes(preset: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Resolutions and windows of a sweep.

    Raises:
        InvalidConfigError: there is no such preset.
    """
    cell_px = find_preset(preset).cell_px
    if preset == "test":
        return TEST_SIZES, (2, 4)
    return (COARSE_SIZES if cell_px == 16 else SIZES), (6, 15, 21, 30)
