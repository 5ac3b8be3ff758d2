"""A video codec by its configuration."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from avatar_sdk.model.video.config import (
    DecoderConfig,
    EncoderConfig,
    LightConfig,
    VideoCodecConfig,
    WanVaeConfig,
)
from avatar_sdk.model.video.light import LightDecoder
from avatar_sdk.model.video.stem import Stem
from avatar_sdk.model.video.streaming import Shape
from avatar_sdk.model.video.taehv import TaehvDecoder, TaehvEncoder
from avatar_sdk.model.video.wan_vae import WanDecoder, WanEncoder

Encoder = WanEncoder | TaehvEncoder | Stem
RGB: Final = 3
Decoder = WanDecoder | TaehvDecoder | LightDecoder


class VideoCodec(nn.Module):
    """All weights of a codec; what changes from latent to latent is in the streams of its parts.

    Attributes:
        encoder: frames → the generator's latents.
        decoder: latents → frames.
        stem: warped frames → condition, or None.
    """

    encoder: Encoder
    decoder: Decoder
    stem: Stem | None

    def __init__(self, config: VideoCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        self.decoder = build_decoder(config.decoder)
        self.stem = Stem(config.stem) if config.stem is not None else None

    @property
    def condition(self) -> Encoder:
        """What encodes the warped frames: the stem if there is one, else the encoder."""
        return self.encoder if self.stem is None else self.stem

    @property
    def frame_channels(self) -> int:
        """Of a warped frame: RGB, and pose maps if a stem was made for them."""
        return RGB if self.stem is None else self.stem.config.frame_channels


def build_codec(config: VideoCodecConfig) -> VideoCodec:
    """A codec with untrained weights, on the device and of the type that are torch's default."""
    return VideoCodec(config)


def build_encoder(config: EncoderConfig) -> WanEncoder | TaehvEncoder:
    """An encoder alone, likewise."""
    return WanEncoder(config) if isinstance(config, WanVaeConfig) else TaehvEncoder(config)


def build_decoder(config: DecoderConfig) -> Decoder:
    """A decoder alone, likewise."""
    if isinstance(config, LightConfig):
        return LightDecoder(config)
    return WanDecoder(config) if isinstance(config, WanVaeConfig) else TaehvDecoder(config)


def codec_shapes(config: VideoCodecConfig) -> dict[str, Shape]:
    """Every weight of a codec with its shape; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in build_codec(config).state_dict().items()}
