"""What a stream needs on its device, counted before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError

from avatar_sdk.model.generator import generator_shapes, stays_float32
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import build_codec
from avatar_sdk.model.video.config import FRAMES, VideoCodecConfig
from avatar_sdk.model.video_presets import VIDEO_PRESETS, Resolution
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.ring import text_keys
from avatar_sdk.runtime.torch.video.warp import drawing_bytes, portrait_bytes

GIB: Final = 2**30
LIBRARIES: Final = GIB
"""CUDA's context, cuBLAS' and cuDNN's workspaces: an allowance."""
PLANES: Final = 6
"""Pictures of the widest layer that a decoder holds at once: an allowance."""
EIGHT_BIT: Final = ("self_attn", "cross_attn", "ffn")


@dataclass(frozen=True)
class VideoMemory:
    """Bytes of one stream on one device.

    Attributes:
        generator: its weights.
        codec: its weights.
        cache: keys and values of text in front, sink and ring.
        text: keys and values of a text with layers of its own.
        streams: what encoder and decoder remember, and the warp of the portrait.
        working: what a step works in; an estimate.
    """

    generator: int
    codec: int
    cache: int
    text: int
    streams: int
    working: int

    @property
    def total(self) -> int:
        """All of it, with an allowance for libraries."""
        return self.generator + self.codec + self.cache + self.text + self.streams + self.working + LIBRARIES


def cache_bytes(config: GeneratorConfig, dtype: torch.dtype, fp8: bool = False, devices: int = 1) -> int:
    """Keys and values of every layer on one device: those of text in front, sink, window and current frame.

    8-bit floats have a scale of four bytes per key and head beside them.
    """
    keys = text_keys(config) + (config.window + 2) * config.tokens
    each = config.head_dim + 4 if fp8 else config.head_dim * dtype.itemsize
    return 2 * config.depth * keys * config.heads * each // devices


def video_memory(
    config: GeneratorConfig, codec: VideoCodecConfig, resolution: Resolution, how: VideoConfig, devices: int = 1
) -> VideoMemory:
    """Counts on shapes alone; nothing is allocated."""
    size, dtype = how.dtype.itemsize, how.dtype
    with torch.device("meta"):
        network = build_codec(codec).to(dtype)
        streams = [
            part.start(1, resolution.height_px, resolution.width_px) for part in (network.condition, network.decoder)
        ]
    remembered = sum(m.numel() * m.element_size() for stream in streams for m in stream.memories)
    crossed = config.text_tokens if config.streams == 1 else 0
    widest = max(m.numel() for m in (*streams[1].memories, torch.empty(1, device="meta")))
    return VideoMemory(
        generator=_generator_bytes(config, how),
        codec=sum(weight.numel() for weight in network.parameters()) * size,
        cache=cache_bytes(config, dtype, how.fp8_cache, devices),
        text=2 * config.depth * crossed * config.dim * size,
        streams=remembered + portrait_bytes(resolution),
        # The generator takes over what the warp worked in.
        working=max(
            config.tokens // devices * (8 * config.dim * 4 + 2 * config.ffn_dim * size), drawing_bytes(resolution)
        )
        + PLANES * FRAMES * widest * size,
    )


def check_video_memory(
    preset: str,
    config: GeneratorConfig,
    codec: VideoCodecConfig,
    resolution: Resolution,
    how: VideoConfig,
    free: int,
    devices: int = 1,
) -> VideoMemory:
    """Refuses what the device cannot hold, before anything is allocated.

    Raises:
        InvalidConfigError: with the bytes needed and free, and the window, or else the presets, that fit.
    """
    memory = video_memory(config, codec, resolution, how, devices)
    if memory.total <= free:
        return memory

    def fits(other: GeneratorConfig) -> bool:
        return video_memory(other, codec, resolution, how, devices).total <= free

    rest = memory.total - memory.cache
    windows = [
        window
        for window in range(config.window - 1, 0, -1)
        if rest + cache_bytes(replace(config, window=window), how.dtype, how.fp8_cache, devices) <= free
    ]
    if windows:
        hint = f"a window of {windows[0]} latents fits"
    else:
        smaller = [
            name
            for name, other in _at_this_size(config, resolution).items()
            if other.latent_channels == config.latent_channels and fits(other)
        ]
        hint = (
            f"with their own windows {', '.join(smaller)} would fit" if smaller else "no preset fits at this resolution"
        )
    raise InvalidConfigError(
        f"{preset} at {resolution} with a window of {config.window} needs {memory.total / GIB:.1f} GiB on the device "
        f"(weights {(memory.generator + memory.codec) / GIB:.1f}, keys and values {memory.cache / GIB:.1f}), "
        f"{free / GIB:.1f} are free; {hint}",
        field="window",
    )


def _at_this_size(config: GeneratorConfig, resolution: Resolution) -> Mapping[str, GeneratorConfig]:
    made = {}
    for name, preset in VIDEO_PRESETS.items():
        side = preset.cell_px * preset.generator.patch
        if not (resolution.width_px % side or resolution.height_px % side):
            made[name] = preset.at(resolution)
    return made


@cache
def _generator_bytes(config: GeneratorConfig, how: VideoConfig) -> int:
    return sum(math.prod(shape) * weight_bytes(name, how) for name, shape in generator_shapes(config).items())


def weight_bytes(name: str, how: VideoConfig) -> int:
    """Bytes per number of a generator's weight."""
    if stays_float32(name):
        return 4
    parts = name.split(".")
    lowered = how.fp8 and parts[0] == "blocks" and parts[-1] == "weight" and set(EIGHT_BIT) & set(parts)
    return 1 if lowered and "norm_q" not in parts and "norm_k" not in parts else how.dtype.itemsize
