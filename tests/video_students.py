"""Video students small enough for tests."""

from __future__ import annotations

from dataclasses import replace

import torch
from picture_clips import HEIGHT_PX, WIDTH_PX
from video_models import CODECS, GENERATORS, codec_of, generator_of

from avatar_sdk.model.generator import Generator
from avatar_sdk.model.video.config import StemConfig
from avatar_sdk.model.video.stem import Stem
from training.video.recompute import recompute
from training.video.student import StudentConfig, VideoStudent

SIZE = (HEIGHT_PX, WIDTH_PX)
STEM = StemConfig(11, widths=(8, 8))


def student_of(
    generator: str = "wan",
    codec: str = "taehv",
    *,
    lora: int = 0,
    stem: bool = True,
    again: bool = False,
    dtype: torch.dtype = torch.float32,
    loud: bool = True,
) -> VideoStudent:
    """The same for the same arguments.

    Args:
        generator: of `GENERATORS`.
        codec: of `CODECS`.
        lora: rank of adapters.
        stem: whether a stem learns.
        again: whether blocks are recomputed.
        dtype: of the generator's large matrices.
        loud: whether adapters already say something.
    """
    chosen = replace(CODECS[codec], stem=STEM if stem else None)
    config = StudentConfig("", GENERATORS[generator], chosen, lora)
    network: Generator = generator_of(config.generator).lower(dtype)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        read = Stem(STEM) if stem else None
        text = torch.randn(1, 3, config.generator.text_dim) if config.generator.text_dim else None
        student = VideoStudent(config, network, codec_of(CODECS[codec]).encoder, read, text)
        if loud:
            for name, weight in network.named_parameters():
                if name.endswith("adapter.up"):
                    torch.nn.init.normal_(weight, std=0.2)
    for part in student.parts:
        student.get_submodule(part).requires_grad_(True)
    if again:
        recompute(student.generator)
    return student.train()
