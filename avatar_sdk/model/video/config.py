"""Sizes of the video codecs. A checkpoint carries its own; these are the published ones. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, Final

from avatar_client.errors import InvalidConfigError

FRAMES: Final = 4
"""Video frames of a latent, but for a stream's first, which is one frame."""
BLOCKS: Final = 3
"""Memory blocks of a TAEHV stage."""
STEM_PATCH_PX: Final = 4
"""Side of the square that the stem's first layer sees at once."""

WAN_MEAN: Final = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
"""Of the Wan 2.1 VAE's latent channels."""
WAN_STD: Final = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)
"""Likewise."""


@dataclass(frozen=True)
class WanVaeConfig:
    """The Wan 2.1 VAE: causal 3-D convolutions.

    Attributes:
        width: channels of the finest scale.
        multiples: of `width`, per scale from fine to coarse.
        blocks: residual blocks per scale of the encoder; the decoder has one more.
        halves_time: whether the step from each scale to the next coarser one halves time as well as space.
        mean, std: of each latent channel; generators see (latent − mean) / std.
    """

    width: int = 96
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    halves_time: tuple[bool, ...] = (False, True, True)
    mean: tuple[float, ...] = WAN_MEAN
    std: tuple[float, ...] = WAN_STD

    def __post_init__(self) -> None:
        if len(self.halves_time) != len(self.multiples) - 1 or 2 ** sum(self.halves_time) != FRAMES:
            raise InvalidConfigError(
                f"halves_time {self.halves_time} must have one entry fewer than multiples {self.multiples} "
                f"and make {FRAMES} frames one",
                field="halves_time",
            )
        if len(self.mean) != len(self.std) or 0 in self.std:
            raise InvalidConfigError(
                f"mean has {len(self.mean)} and std {len(self.std)} entries; they must agree, and no std may be 0",
                field="std",
            )
        if any(self.width * m % 2 for m in self.multiples):
            raise InvalidConfigError(f"every multiple of width {self.width} must be even", field="width")

    @property
    def latent_channels(self) -> int:
        """Of the latent."""
        return len(self.mean)

    @property
    def space_px(self) -> int:
        """Pixels per side of a latent's cell."""
        return int(2 ** len(self.halves_time))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per scale, from fine to coarse."""
        return tuple(self.width * m for m in self.multiples)


@dataclass(frozen=True)
class TaehvConfig:
    """TAEHV: 2-D convolutions, each block of which also sees its own input of the frame before.

    Attributes:
        latent_channels: of the latent.
        patch_px: side of the square of pixels that is folded into channels outside of the network.
        encoder_width: channels of the encoder.
        decoder_widths: from coarse to fine; the last is that of the layer that draws.
        pooling: frames that become one before each stage of the encoder.
        growth: frames that one becomes after each stage of the decoder.
        stored_growth: the same of the stored weights, which may make more frames; the last `growth` of them are used.
    """

    latent_channels: int = 16
    patch_px: int = 1
    encoder_width: int = 64
    decoder_widths: tuple[int, ...] = (256, 128, 64, 64)
    pooling: tuple[int, ...] = (2, 2, 1)
    growth: tuple[int, ...] = (1, 2, 2)
    stored_growth: tuple[int, ...] = (1, 2, 2)

    def __post_init__(self) -> None:
        stages = len(self.decoder_widths) - 1
        if {len(self.pooling), len(self.growth), len(self.stored_growth)} != {stages}:
            raise InvalidConfigError(
                f"pooling {self.pooling}, growth {self.growth} and stored_growth {self.stored_growth} must have "
                f"{stages} entries, one fewer than decoder_widths",
                field="growth",
            )
        if prod(self.pooling) != FRAMES or prod(self.growth) != FRAMES:
            raise InvalidConfigError(
                f"pooling {self.pooling} must make {FRAMES} frames one, growth {self.growth} one {FRAMES}",
                field="growth",
            )
        if any(stored < used for stored, used in zip(self.stored_growth, self.growth, strict=True)):
            raise InvalidConfigError(
                f"stored_growth {self.stored_growth} is less than growth {self.growth}", field="stored_growth"
            )

    @property
    def space_px(self) -> int:
        """Pixels per side of a latent's cell."""
        return int(self.patch_px * 2 ** len(self.pooling))


@dataclass(frozen=True)
class LightConfig:
    """A light causal decoder in AAPT's shape; it is trained for the latents of another encoder.

    Attributes:
        latent_channels: of the latent, which it takes normalised.
        widths: channels per scale, from fine to coarse.
        blocks: residual blocks per scale.
        doubles_time: whether the step from each scale to the next finer one doubles time, from coarse to fine.
    """

    latent_channels: int = 16
    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 2
    doubles_time: tuple[bool, ...] = (True, True, False)

    def __post_init__(self) -> None:
        if len(self.doubles_time) != len(self.widths) - 1 or 2 ** sum(self.doubles_time) != FRAMES:
            raise InvalidConfigError(
                f"doubles_time {self.doubles_time} must have one entry fewer than widths {self.widths} "
                f"and make one frame {FRAMES}",
                field="doubles_time",
            )
        if any(w % 2 for w in self.widths):
            raise InvalidConfigError(f"widths {self.widths} must be even", field="widths")

    @property
    def space_px(self) -> int:
        """Pixels per side of a latent's cell."""
        return int(2 ** len(self.doubles_time))


@dataclass(frozen=True)
class StemConfig:
    """Strided convolutions from the warped frames to the condition; trained with the generator.

    Attributes:
        frame_channels: of a warped frame; more than 3 when pose maps come with it.
        latent_channels: of the condition.
        widths: channels of the first layer, which sees 4×4 pixels, and of the strided ones, each of which halves.
    """

    frame_channels: int = 3
    latent_channels: int = 16
    widths: tuple[int, ...] = (32, 128)

    @property
    def space_px(self) -> int:
        """Pixels per side of a cell of the condition."""
        return int(STEM_PATCH_PX * 2 ** (len(self.widths) - 1))


EncoderConfig = WanVaeConfig | TaehvConfig
DecoderConfig = WanVaeConfig | TaehvConfig | LightConfig
KINDS: Final[dict[str, type]] = {
    "wan-vae": WanVaeConfig,
    "taehv": TaehvConfig,
    "light": LightConfig,
    "stem": StemConfig,
}
"""Name in a checkpoint → class."""
PARTS: Final[dict[str, tuple[type, ...]]] = {
    "encoder": (WanVaeConfig, TaehvConfig),
    "decoder": (WanVaeConfig, TaehvConfig, LightConfig),
    "stem": (StemConfig,),
}
"""Part of a codec → classes that may be it."""


@dataclass(frozen=True)
class VideoCodecConfig:
    """Everything a checkpoint needs to build a codec again.

    Attributes:
        encoder: of the portrait and, without a stem, of the warped frames.
        decoder: of the generator's latents.
        stem: of the warped frames.
    """

    encoder: EncoderConfig = field(default_factory=WanVaeConfig)
    decoder: DecoderConfig = field(default_factory=WanVaeConfig)
    stem: StemConfig | None = None

    def __post_init__(self) -> None:
        a, b = self.encoder, self.decoder
        if (a.latent_channels, a.space_px) != (b.latent_channels, b.space_px):
            raise InvalidConfigError(
                f"the encoder's latents have {a.latent_channels} channels for {a.space_px}×{a.space_px} pixels, "
                f"the decoder's {b.latent_channels} for {b.space_px}×{b.space_px}; they must agree",
                field="decoder",
            )
        if self.stem is not None and self.stem.space_px != b.space_px:
            raise InvalidConfigError(
                f"the stem makes one vector of {self.stem.space_px}×{self.stem.space_px} pixels, the decoder's latents "
                f"have one for {b.space_px}×{b.space_px}; they must agree",
                field="stem",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's header."""
        names = {kind: name for name, kind in KINDS.items()}
        parts = {"encoder": self.encoder, "decoder": self.decoder, "stem": self.stem}
        return {key: {"kind": names[type(c)], **asdict(c)} for key, c in parts.items() if c is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VideoCodecConfig:
        """Inverse of `to_dict`.

        Raises:
            InvalidConfigError: a value is missing, unknown or does not fit.
        """
        try:
            return cls(**{key: _part(key, part) for key, part in values.items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidConfigError(f"the codec's config cannot be read: {error}", field="codec") from error


def _part(key: str, values: dict[str, Any]) -> Any:
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "kind"}
    part = KINDS[values["kind"]](**plain)
    if not isinstance(part, PARTS[key]):
        raise InvalidConfigError(f"{values['kind']!r} cannot be the {key} of a codec", field=key)
    return part


VIDEO_CODECS: Final = {
    "wan2.1": VideoCodecConfig(),
    "taew2.1": VideoCodecConfig(TaehvConfig(), TaehvConfig()),
    "taew2.2": VideoCodecConfig(
        TaehvConfig(latent_channels=48, patch_px=2), TaehvConfig(latent_channels=48, patch_px=2)
    ),
    "light": VideoCodecConfig(WanVaeConfig(), LightConfig(), StemConfig()),
}
"""Name → configuration."""
