"""What a step must compute and move, by arithmetic: the floor that a measurement is held against.

T tokens of a frame, K keys, D width, L layers, S text tokens, F inner width of the feed-forward part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from avatar_sdk.model.generator import generator_shapes
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import build_codec
from avatar_sdk.model.video.config import FRAMES, VideoCodecConfig
from avatar_sdk.model.video_presets import Resolution
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.memory import cache_bytes, weight_bytes
from avatar_sdk.runtime.torch.video.ring import text_keys

TERA = 1e12


@dataclass(frozen=True)
class Work:
    """Of one latent, with a full window.

    Attributes:
        linear: floating point operations of matrix products with weights, in tera.
        attention: of attention, in tera.
        condition: of what encodes the four warped frames, in tera.
        decode: of what draws the four frames, in tera.
        parameters: of the generator.
        video_parameters: those of them that video tokens go through.
        bytes: that must be read: weights which video tokens go through, keys and values.
    """

    linear: float
    attention: float
    condition: float
    decode: float
    parameters: int
    video_parameters: int
    bytes: int

    @property
    def generator(self) -> float:
        """Tera floating point operations."""
        return self.linear + self.attention

    @property
    def intensity(self) -> float:
        """Operations of the generator per byte that it must read."""
        return self.generator * TERA / self.bytes

    def floor_ms(self, tflops: float, gb_per_s: float) -> tuple[float, float]:
        """Milliseconds of the generator at a rate of products, and at a rate of reading."""
        return 1000 * self.generator / tflops, self.bytes / gb_per_s / 1e6


def video_work(config: GeneratorConfig, codec: VideoCodecConfig, resolution: Resolution, how: VideoConfig) -> Work:
    """Counts on shapes alone; the codec's operations by PyTorch's own counter."""
    shapes = generator_shapes(config)
    tokens, depth, dim = config.tokens, config.depth, config.dim
    keys = text_keys(config) + tokens * (config.window + 2)
    seen = {name: math.prod(shape) for name, shape in shapes.items() if sees_video(name, config)}
    matrices = sum(math.prod(shapes[name]) for name in seen if name.endswith("weight") and len(shapes[name]) == 2)
    crossed = config.text_tokens if config.streams == 1 and config.text_dim else 0
    condition, decode = _codec_operations(codec, resolution)
    return Work(
        linear=2 * matrices * tokens / TERA,
        attention=4 * tokens * (keys + crossed) * dim * depth / TERA,
        condition=condition / TERA,
        decode=decode / TERA,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        video_parameters=sum(seen.values()),
        bytes=sum(count * weight_bytes(name, how) for name, count in seen.items())
        + cache_bytes(config, how.dtype, how.fp8_cache),
    )


def sees_video(name: str, config: GeneratorConfig) -> bool:
    """Whether video tokens go through a weight at every step: the text's own half and its projections do not."""
    parts = name.split(".")
    if parts[0] in ("text_embedding", "text_blocks", "time_embedding", "time_projection"):
        return False
    return not ("cross_attn" in parts and {"k", "v", "norm_k"} & set(parts))


def _codec_operations(config: VideoCodecConfig, resolution: Resolution) -> tuple[int, int]:
    """Of encoding the condition and of decoding."""
    height, width = resolution.height_px, resolution.width_px
    with torch.device("meta"), torch.inference_mode():
        codec = build_codec(config).eval().to("meta")  # a Wan VAE's mean and std are real even so
        seen, drawn = codec.condition.start(1, height, width), codec.decoder.start(1, height, width)
        frames, latent = torch.empty(1, FRAMES, *seen.frame_shape[1:]), torch.empty(drawn.latent_shape)
        with FlopCounterMode(display=False) as condition:
            codec.condition.later(frames, seen)
        with FlopCounterMode(display=False) as decode:
            codec.decoder.later(latent, drawn)
    return condition.get_total_flops(), decode.get_total_flops()
