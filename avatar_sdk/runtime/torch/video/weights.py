"""Generators and codecs on their device: loaded, or with random weights for measuring time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor, nn

from avatar_sdk.model.checkpoint import CODEC_PART, GENERATOR_PART, PartHeader, load_codec, load_generator, read_part
from avatar_sdk.model.generator import Generator, generator_shapes
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import VideoCodec, build_codec, codec_shapes
from avatar_sdk.model.video.config import VideoCodecConfig
from avatar_sdk.model.video_presets import Resolution, VideoPreset
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.fp8 import use_fp8
from avatar_sdk.runtime.torch.video.memory import check_video_memory

COMPILER = "inductor"
"""Backend of `torch.compile`."""


def random_parts(
    config: GeneratorConfig, codec: VideoCodecConfig, how: VideoConfig, seed: int = 0
) -> tuple[Generator, VideoCodec]:
    """Weights of no use but for time: drawn on the device itself, the same for the same seed and device."""
    with torch.device("meta"):
        generator, network = Generator(config), build_codec(codec)
    rng = torch.Generator(how.device).manual_seed(seed)
    generator.load_state_dict(_drawn(generator_shapes(config), rng, how.device), assign=True)
    network.load_state_dict(_drawn(codec_shapes(codec), rng, how.device), assign=True)
    return placed(generator, network, how)


def load_parts(
    generator: Path,
    codec: Path,
    resolution: Resolution,
    how: VideoConfig,
    window: int | None = None,
    preset: str = "",
    free: int | None = None,
) -> tuple[Generator, VideoCodec]:
    """A generator's and a codec's checkpoint; whatever does not fit is refused before a weight is read.

    Args:
        generator: checkpoint of a generator.
        codec: checkpoint of a codec for its latents.
        resolution: of the frames.
        how: device and numbers.
        window: None = as long as the checkpoint was made for.
        preset: what the generator must be; "" = whatever it is.
        free: bytes of the device that may be used; None = not counted.

    Raises:
        InvalidConfigError: a checkpoint is broken or another one, or frames, latents, window or memory do not fit.
    """
    header, drawer = _header(generator, GENERATOR_PART), _header(codec, CODEC_PART)
    if preset and header.preset != preset:
        raise InvalidConfigError(
            f"{generator} holds a generator of {header.preset or 'no preset'}, not {preset}; name the checkpoint of "
            f"{preset}, or leave the preset out",
            field="preset",
        )
    sizes, drawing = GeneratorConfig.from_dict(header.config), VideoCodecConfig.from_dict(drawer.config)
    check_latents(sizes, drawing)
    config = VideoPreset(sizes, drawing.decoder.space_px).at(resolution, window)
    if free is not None:
        check_video_memory(header.preset or str(generator), config, drawing, resolution, how, free)
    loaded, _ = load_generator(generator, config)
    network, _ = load_codec(codec)
    return placed(loaded, network, how)


def check_latents(generator: GeneratorConfig, codec: VideoCodecConfig) -> None:
    """Refuses a codec for other latents than the generator's.

    Raises:
        InvalidConfigError: with both numbers of channels.
    """
    made, taken = generator.latent_channels, codec.decoder.latent_channels
    condition = (codec.stem or codec.encoder).latent_channels
    if made != taken:
        raise InvalidConfigError(
            f"the generator's latents have {made} channels, the codec's {taken}; take the codec it was trained with",
            field="codec",
        )
    if generator.condition_channels != condition:
        raise InvalidConfigError(
            f"the generator's condition has {generator.condition_channels} channels, the codec makes {condition}; take "
            "the codec it was trained with",
            field="codec",
        )


def placed(generator: Generator, codec: VideoCodec, how: VideoConfig) -> tuple[Generator, VideoCodec]:
    """On the device and in the types that `how` says. Mutates and returns both."""
    generator = generator.lower(how.dtype).to(how.device).eval().requires_grad_(False)
    codec = codec.to(how.device, how.dtype).eval().requires_grad_(False)
    if how.is_cuda:
        channels_last(codec)
    if how.fp8:
        use_fp8(generator)
    if how.compiled:
        for block in generator.blocks:
            block.compile(dynamic=False, backend=COMPILER)
    return generator, codec


def channels_last(codec: VideoCodec) -> None:
    """Kernels in the order that tensor-core convolutions read; what comes out is the same. Mutates the codec."""
    for module in codec.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            last = torch.channels_last if isinstance(module, nn.Conv2d) else torch.channels_last_3d
            module.weight.data = module.weight.data.contiguous(memory_format=last)


def _header(path: Path, part: str) -> PartHeader:
    header = read_part(path)
    if header.part != part:
        raise InvalidConfigError(f"{path} holds a {header.part}, not a {part}", field="model")
    return header


def _drawn(shapes: Mapping[str, tuple[int, ...]], rng: torch.Generator, device: str) -> dict[str, Tensor]:
    """Matrices and kernels keep the size of what goes through them; biases are 0, what normalises is 1."""
    made = {}
    for name, shape in shapes.items():
        if name.endswith(("bias", "mean")):
            made[name] = torch.zeros(shape, device=device)
        elif len(shape) == 1 or name.endswith("gamma"):
            made[name] = torch.ones(shape, device=device)
        else:
            inputs = 1.0
            for size in shape[1:]:
                inputs *= size
            made[name] = torch.randn(shape, generator=rng, device=device) * inputs**-0.5
    return made
