"""The Wan 2.1 VAE's published weights (`Wan2.1_VAE.pth`)."""

from __future__ import annotations

import re
from typing import Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.importers.layout import Layout, Shapes
from avatar_sdk.importers.telling import check_telling
from avatar_sdk.model.video.config import VideoCodecConfig, WanVaeConfig

ENCODER_BLOCKS: Final = 2
DECODER_BLOCKS: Final = 3
"""Residual blocks of a scale; the step to the next scale follows them in the same flat list."""
_SCALES: Final = 4
_WIDTHS: Final = tuple(f"encoder.downsamples.{(ENCODER_BLOCKS + 1) * i}.residual.2.weight" for i in range(_SCALES))
_TIMES: Final = tuple(
    f"encoder.downsamples.{(ENCODER_BLOCKS + 1) * i + ENCODER_BLOCKS}.time_conv.weight" for i in range(_SCALES - 1)
)
_RESIDUAL: Final = {"residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2"}
_MIDDLE: Final = {"0": "block1", "1": "attention", "2": "block2"}
_PLAIN: Final = {
    "conv1": "encoder.moments",
    "conv2": "decoder.latent",
    **{f"{part}.conv1": f"{part}.conv_in" for part in ("encoder", "decoder")},
    **{f"{part}.head.0": f"{part}.norm" for part in ("encoder", "decoder")},
    **{f"{part}.head.2": f"{part}.conv_out" for part in ("encoder", "decoder")},
}


def _matches(shapes: Shapes) -> bool:
    return "encoder.conv1.weight" in shapes and "decoder.upsamples.0.residual.0.gamma" in shapes


def _config(shapes: Shapes) -> VideoCodecConfig:
    check_telling(shapes, "wan2.1-vae", dict.fromkeys(("encoder.conv1.weight", "conv2.weight", *_WIDTHS), 5))
    width = shapes["encoder.conv1.weight"][0]
    channels, known = shapes["conv2.weight"][0], WanVaeConfig().latent_channels
    if channels != known:
        raise InvalidConfigError(
            f"this VAE has {channels} latent channels; means and deviations are known for the {known} of Wan 2.1 only",
            field="model",
        )
    multiples = tuple(shapes[name][0] // width for name in _WIDTHS)
    vae = WanVaeConfig(width, multiples, ENCODER_BLOCKS, tuple(name in shapes for name in _TIMES))
    return VideoCodecConfig(vae, vae)


def _rename(name: str) -> str:
    place, _, kind = name.rpartition(".")
    if place in _PLAIN:
        return f"{_PLAIN[place]}.{kind}"
    if match := re.fullmatch(r"(encoder|decoder)\.middle\.([012])\.(.+)", place):
        part, index, layer = match.groups()
        return f"{part}.middle.{_MIDDLE[index]}.{_RESIDUAL.get(layer, layer)}.{kind}"
    if match := re.fullmatch(r"(encoder|decoder)\.(?:downsamples|upsamples)\.(\d+)\.(.+)", place):
        part, index, layer = match.groups()
        blocks, step = (ENCODER_BLOCKS, "coarser") if part == "encoder" else (DECODER_BLOCKS, "finer")
        scale, block = divmod(int(index), blocks + 1)
        if block < blocks:
            return f"{part}.scales.{scale}.blocks.{block}.{_RESIDUAL.get(layer, layer)}.{kind}"
        ours = {"resample.1": "conv", "time_conv": "time"}.get(layer, layer)
        return f"{part}.scales.{scale}.{step}.{ours}.{kind}"
    return name


def _expected(config: VideoCodecConfig) -> Shapes:
    from avatar_sdk.model.video.build import codec_shapes

    return codec_shapes(config)


WAN_VAE: Final = Layout("wan2.1-vae", "codec", _matches, _config, _rename, _expected)
"""194 weights; 4 scales, 16 latent channels. The public name of an unknown weight stays, so that it is found out."""
