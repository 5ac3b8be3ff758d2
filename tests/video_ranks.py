"""What two processes do in the tests of one stream on several devices; each runs `main`."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from video_models import CODECS, GENERATOR, GENERATORS, codec_of, generator_of

from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video_presets import Resolution
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.fidelity import random_text
from avatar_sdk.runtime.torch.video.sequence import SequencePart, joined_devices
from avatar_sdk.runtime.torch.video.stream import VideoStream

FLOAT = VideoConfig(precision="float32")
CASES: dict[str, tuple[GeneratorConfig, VideoConfig]] = {
    "wan": (GENERATOR, FLOAT),
    "two streams, tokens that do not divide": (replace(GENERATORS["two streams"], grid=3), FLOAT),
    "no text, eight bits": (GENERATORS["no text"], replace(FLOAT, fp8_cache=True)),
}
LATENTS = GENERATOR.window + 3


def run(name: str, part: SequencePart | None = None) -> tuple[NDArray[np.float32], NDArray[np.uint8], int]:
    """Latents, frames, and bytes that the ring holds."""
    config, how = CASES[name]
    rows, columns = config.grid_shape
    size = Resolution(16 * columns, 16 * rows)
    stream = VideoStream(generator_of(config), codec_of(CODECS["taehv"]), size, how, part)
    rng = np.random.default_rng(4)
    clip = rng.integers(0, 256, (4 * LATENTS - 3, size.height_px, size.width_px, 3), np.uint8)
    stream.begin(clip[0], random_text(stream))
    latents, frames = [], []
    for k in range(LATENTS):
        frames += [frame.copy() for frame in stream.advance(clip[:1] if k == 0 else clip[4 * k - 3 : 4 * k + 1])]
        latents.append(stream.step.latent.numpy().copy())
    return np.concatenate(latents), np.stack(frames), stream.step.rings.bytes


def main(rank: int, port: int, folder: Path) -> None:
    """Every case; what this process saw is left in `folder`."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    here = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}
    with joined_devices("cpu") as (own, size, _):
        for i, name in enumerate(CASES):
            latents, frames, held = run(name, SequencePart.of(CASES[name][0], own, size))
            np.savez(folder / f"{i}.{rank}.npz", latents=latents, frames=frames, held=held)
