"""Sizes. A checkpoint carries its own; these are the ones we train and ship. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from avatar_client.errors import InvalidConfigError


@dataclass(frozen=True)
class GeneratorConfig:
    """A causal video DiT of the Wan block family.

    Attributes:
        dim: width of the tokens.
        depth: blocks.
        heads: attention heads; `dim` is a multiple.
        ffn_dim: inner width of the feed-forward part.
        grid: tokens from top to bottom of a latent frame.
        latent_channels: of the codec's latent.
        condition_channels: features that the conditioner makes of the warp, per cell of the latent.
        window: past latent frames a token sees, beside the current one and the sink.
        text_dim: width of text tokens; 0 = no text.
        freq_dim: of the sinusoidal time embedding.
        columns: tokens from left to right; 0 = as many as `grid`.
        patch: side of the square of latent cells that are one token.
        text_tokens: what texts are filled up to with zeros, which are attended to; 0 = as they come.
        streams: 1 = text is attended to by a layer of its own in every block (Wan); 2 = text has blocks of its own,
            whose keys and values stand beside those of the picture (MMDiT).

    No weight depends on grid, columns or window: they may be replaced whenever the caches are begun anew.
    """

    dim: int = 192
    depth: int = 5
    heads: int = 3
    ffn_dim: int = 768
    grid: int = 8
    latent_channels: int = 16
    condition_channels: int = 96
    window: int = 8
    text_dim: int = 0
    freq_dim: int = 256
    columns: int = 0
    patch: int = 1
    text_tokens: int = 0
    streams: int = 1

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.head_dim % 2:
            raise InvalidConfigError(f"dim {self.dim} must split into {self.heads} heads of even width", field="dim")
        if self.streams not in (1, 2) or (self.streams == 2 and not self.text_dim):
            raise InvalidConfigError(
                f"streams is {self.streams} and text_dim {self.text_dim}; a generator has 1 stream, or 2 and a text",
                field="streams",
            )

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.heads

    @property
    def tokens(self) -> int:
        """Tokens per latent frame."""
        rows, columns = self.grid_shape
        return rows * columns

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(rows, columns) of tokens."""
        return self.grid, self.columns or self.grid

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a latent frame."""
        rows, columns = self.grid_shape
        return self.latent_channels, rows * self.patch, columns * self.patch

    @property
    def in_channels(self) -> int:
        """Noise, recycled latent and condition."""
        return 2 * self.latent_channels + self.condition_channels

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorConfig:
        """Inverse of `to_dict`.

        Raises:
            InvalidConfigError: a value is unknown or does not fit.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise InvalidConfigError(f"the generator's config cannot be read: {error}") from error


@dataclass(frozen=True)
class CodecConfig:
    """The convolutional codec of the face-aligned crop.

    Attributes:
        crop_px: side of the crop; the latent's side times 2 to the number of `channels` below the top.
        channels: of the decoder from the latent's scale up to half of the crop's.
        condition_channels: of the conditioner's stages, likewise from fine to coarse.
        latent_channels: of the latent.
        memories: decoder stages, from the coarsest, that remember their last activation.
    """

    crop_px: int = 256
    channels: tuple[int, ...] = (96, 64, 48, 32, 16)
    condition_channels: tuple[int, ...] = (32, 64, 96)
    latent_channels: int = 16
    memories: int = 3


@dataclass(frozen=True)
class ModelConfig:
    """Everything a checkpoint needs to be built again."""

    name: str = "lite"
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)

    def __post_init__(self) -> None:
        side = self.codec.crop_px >> len(self.codec.channels)
        wanted = (self.codec.latent_channels, side, side)
        if wanted != self.generator.latent_shape:
            made, taken = ("×".join(map(str, shape)) for shape in (wanted, self.generator.latent_shape))
            raise InvalidConfigError(f"the codec's latent is {made}, the generator's {taken}; they must agree")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`.

        Raises:
            InvalidConfigError: a value is missing, unknown or does not fit.
        """
        try:
            codec: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["codec"].items()}
            return cls(values["name"], GeneratorConfig(**values["generator"]), CodecConfig(**codec))
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidConfigError(f"the checkpoint's config cannot be read: {error}") from error


PRESETS: Final = {
    "test": ModelConfig(
        "test",
        GeneratorConfig(
            dim=32,
            depth=2,
            heads=2,
            ffn_dim=64,
            grid=4,
            latent_channels=4,
            condition_channels=8,
            window=4,
            freq_dim=32,
        ),
        CodecConfig(
            crop_px=256, channels=(16, 16, 8, 8, 8, 8), condition_channels=(8, 8, 8, 8), latent_channels=4, memories=2
        ),
    ),
    "lite": ModelConfig(),
}
"""Name → configuration."""
