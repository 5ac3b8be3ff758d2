"""Video generators and codecs small enough for tests, with weights that make every part count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from avatar_sdk.model.checkpoint import PartHeader
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import VideoCodec, build_codec
from avatar_sdk.model.video.config import FRAMES, LightConfig, StemConfig, TaehvConfig, VideoCodecConfig, WanVaeConfig
from avatar_sdk.model.video_presets import Resolution

WAN = WanVaeConfig(width=4)
TAEHV = TaehvConfig(encoder_width=8, decoder_widths=(8, 8, 4, 4))
CODECS = {
    "wan": VideoCodecConfig(WAN, WAN),
    "taehv": VideoCodecConfig(TAEHV, TAEHV),
    "light": VideoCodecConfig(WAN, LightConfig(widths=(4, 4, 8, 8)), StemConfig(widths=(8, 8))),
}
GENERATOR = GeneratorConfig(
    dim=32,
    depth=2,
    heads=2,
    ffn_dim=48,
    grid=2,
    columns=3,
    latent_channels=16,
    condition_channels=16,
    window=3,
    text_dim=6,
    text_tokens=5,
    freq_dim=16,
    patch=2,
)
"""For frames of 48×32 pixels."""
GENERATORS = {
    "wan": GENERATOR,
    "two streams": replace(GENERATOR, streams=2),
    "no text": replace(GENERATOR, text_dim=0, text_tokens=0),
}


def generator_of(config: GeneratorConfig, seed: int = 1) -> Generator:
    """Random weights, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Generator(config).eval().requires_grad_(False)


def codec_of(config: VideoCodecConfig, seed: int = 3) -> VideoCodec:
    """Likewise, as loud on the way out as on the way in."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec = build_codec(config).eval().requires_grad_(False)
        for module in codec.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    return codec


def save_part(path: Path, module: Generator | VideoCodec, part: str, **header: Any) -> Path:
    """A checkpoint of a generator or codec alone."""
    metadata = PartHeader(part, module.config.to_dict(), **header).to_metadata()
    save_file(dict(module.state_dict()), path, metadata=metadata)
    return path


def random_clip(size: Resolution, latents: int, seed: int = 0) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """A portrait at rest (H, W, 3), and frames (F, H, W, 3) of so many steps, which mean nothing."""
    rng = np.random.default_rng(seed)
    frame = (size.height_px, size.width_px, 3)
    portrait = rng.integers(0, 256, frame, np.uint8)
    return portrait, [rng.integers(0, 256, (FRAMES if k else 1, *frame), np.uint8) for k in range(latents)]
