"""Wan's published video transformers, and those trained from them, such as Self-Forcing's.

Ours is the same network with more input channels: names differ in the head only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.importers.layout import Layout, Shapes
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video_presets import VIDEO_PRESETS, WAN_HEAD

INPUT: Final = "patch_embedding.weight"
_TELLING: Final = (
    "blocks.0.cross_attn.norm_q.weight",
    "blocks.0.ffn.0.weight",
    "blocks.0.modulation",
    "head.head.weight",
    "text_embedding.0.weight",
    "time_embedding.0.weight",
)
_RENAMED: Final = {
    "head.head.weight": "head.weight",
    "head.head.bias": "head.bias",
    "head.modulation": "modulation",
}
_PATCH: Final = (1, 2, 2)


def _depth(shapes: Shapes) -> int:
    return sum(name.endswith(".self_attn.q.weight") for name in shapes)


def _matches(shapes: Shapes) -> bool:
    """Wan's block, without the image branch of Wan 2.1's image-to-video models."""
    if not all(name in shapes for name in (INPUT, *_TELLING)) or shapes[INPUT][2:] != _PATCH:
        return False
    return shapes["head.head.weight"][0] == shapes[INPUT][1] * _PATCH[1] * _PATCH[2]


def _config(shapes: Shapes, preset: str) -> GeneratorConfig:
    """Sizes from the shapes; grid and window of the preset. Every head is 128 wide."""
    dim, channels = shapes[INPUT][:2]
    if dim % WAN_HEAD:
        raise InvalidConfigError(f"{INPUT} is {dim} wide, which is no multiple of Wan's heads of {WAN_HEAD}")
    return replace(
        VIDEO_PRESETS[preset].generator,
        dim=dim,
        depth=_depth(shapes),
        heads=dim // WAN_HEAD,
        ffn_dim=shapes["blocks.0.ffn.0.weight"][0],
        latent_channels=channels,
        condition_channels=channels,
        text_dim=shapes["text_embedding.0.weight"][1],
        freq_dim=shapes["time_embedding.0.weight"][1],
    )


def _rename(name: str) -> str:
    return _RENAMED.get(name, name)


def _expected(config: GeneratorConfig) -> Shapes:
    """All weights; of the input's columns only those of the noise."""
    from avatar_sdk.model.generator import generator_shapes

    return {**generator_shapes(config), INPUT: (config.dim, config.latent_channels * config.patch**2)}


def _layout(name: str, preset: str) -> Layout:
    """The layout of a published size, told by its depth and channels."""
    size = VIDEO_PRESETS[preset].generator

    def matches(shapes: Shapes) -> bool:
        found = _matches(shapes) and (_depth(shapes), shapes[INPUT][1])
        return found == (size.depth, size.latent_channels)

    return Layout(name, "generator", matches, lambda shapes: _config(shapes, preset), _rename, _expected)


WAN_LAYOUTS: Final = (
    _layout("wan2.1-t2v-1.3b", "wan-1.3b"),
    _layout("wan2.1-t2v-14b", "wan-14b"),
    _layout("wan2.2-ti2v-5b", "wan-5b"),
    Layout("wan", "generator", _matches, lambda shapes: _config(shapes, "wan-1.3b"), _rename, _expected),
)
"""The last takes any other size of the same network."""
