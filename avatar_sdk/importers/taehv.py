"""TAEHV's published weights for Wan (`taew2_1.pth`, `taew2_2.pth`).

TAEHV for Hunyuan Video has the shapes of `taew2_1`: what is in a file only its user knows.
"""

from __future__ import annotations

import re
from math import isqrt
from typing import Final

from avatar_sdk.importers.layout import Layout, Shapes
from avatar_sdk.importers.telling import check_telling
from avatar_sdk.model.video.config import BLOCKS, TaehvConfig, VideoCodecConfig

_POOLS: Final = (2, 7, 12)
"""Where the convolutions over time stand in the flat list of the encoder."""
_GROWS: Final = (7, 13, 19)
"""Likewise of the decoder."""
_PROJECTIONS: Final = (8, 14, 20)
_CONVS: Final = {"conv.0": "conv1", "conv.2": "conv2", "conv.4": "conv3"}
_ENDS: Final = {
    "encoder.0": "encoder.conv_in",
    "encoder.17": "encoder.conv_out",
    "decoder.1": "decoder.conv_in",
    "decoder.22": "decoder.conv_out",
}
_LATENT: Final = "decoder.1.weight"
_PICTURE: Final = "decoder.22.weight"
_TELLING: Final = (
    *(f"{place}.weight" for place in _ENDS),
    *(f"encoder.{i}.conv.weight" for i in _POOLS),
    *(f"decoder.{i}.conv.weight" for i in _GROWS),
    *(f"decoder.{i}.weight" for i in _PROJECTIONS),
)


def _matches(shapes: Shapes, latent_channels: int, patch_px: int) -> bool:
    first, last = shapes.get(_LATENT, ()), shapes.get(_PICTURE, ())
    return "encoder.2.conv.weight" in shapes and first[1:2] == (latent_channels,) and last[:1] == (3 * patch_px**2,)


def _config(shapes: Shapes) -> VideoCodecConfig:
    check_telling(shapes, "TAEHV", dict.fromkeys(_TELLING, 4))
    width, stored = shapes["encoder.0.weight"][0], []
    pools = tuple(shapes[f"encoder.{i}.conv.weight"][1] // width for i in _POOLS)
    widths = (shapes[_LATENT][0], *(shapes[f"decoder.{i}.weight"][0] for i in _PROJECTIONS))
    for i in _GROWS:
        rows, channels = shapes[f"decoder.{i}.conv.weight"][:2]
        stored.append(rows // channels)
    config = TaehvConfig(
        latent_channels=shapes[_LATENT][1],
        patch_px=isqrt(shapes[_PICTURE][0] // 3),
        encoder_width=width,
        decoder_widths=widths,
        pooling=pools,
        stored_growth=tuple(stored),
    )
    return VideoCodecConfig(config, config)


def _rename(name: str) -> str:
    place, _, kind = name.rpartition(".")
    if place in _ENDS:
        return f"{_ENDS[place]}.{kind}"
    match = re.fullmatch(r"(encoder|decoder)\.(\d+)(?:\.(conv(?:\.[024])?))?", place)
    if match is None:
        return name
    part, index, layer = match[1], int(match[2]), match[3]
    # The encoder's stages are pool, conv and blocks; the decoder's blocks, enlargement (no weights), growth and conv.
    steps = ("pool", "down", *_blocks()) if part == "encoder" else (*_blocks(), "", "grow", "proj")
    stage, step = divmod(index - (_POOLS[0] if part == "encoder" else BLOCKS), len(steps))
    ours = steps[step]
    if not ours or stage not in range(len(_POOLS)):
        return name
    return f"{part}.stages.{stage}.{ours}{f'.{_CONVS[layer]}' if layer in _CONVS else ''}.{kind}"


def _blocks() -> tuple[str, ...]:
    return tuple(f"blocks.{i}" for i in range(BLOCKS))


def _expected(config: VideoCodecConfig) -> Shapes:
    from avatar_sdk.model.video.build import codec_shapes

    return codec_shapes(config)


TAEW2_1: Final = Layout("taew2.1", "codec", lambda shapes: _matches(shapes, 16, 1), _config, _rename, _expected)
"""128 weights; pixels as they are, 16 latent channels."""
TAEW2_2: Final = Layout("taew2.2", "codec", lambda shapes: _matches(shapes, 48, 2), _config, _rename, _expected)
"""The same for the latents of Wan 2.2's 5B: 2×2 pixels are one, 48 latent channels."""
