"""From files to a student; whatever does not fit is said before a weight is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError

from avatar_sdk.model.checkpoint import CODEC_PART, GENERATOR_PART, load_codec, load_generator, read_part
from avatar_sdk.model.conditioner import CROP_CHANNELS, GUIDE_CHANNELS
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.config import STEM_PATCH_PX, StemConfig, VideoCodecConfig
from avatar_sdk.model.video.stem import Stem
from avatar_sdk.model.video_presets import VIDEO_PRESETS, Resolution, VideoPreset
from training.data import Shards
from training.video.files import Ingredients
from training.video.lesson import latents_of
from training.video.recompute import recompute
from training.video.student import StudentConfig, VideoStudent
from training.video.text import load_text

CONDITIONS: Final = {"stem": CROP_CHANNELS, "maps": GUIDE_CHANNELS, "codec": 0}
"""What reads the warped frames: a fresh stem, one that reads the pose maps too, or the codec's encoder."""
STEM_WIDTHS: Final = (32, 128)
"""Of the stem's first layer and of the others."""


@dataclass(frozen=True)
class StudentOptions:
    """How a generator is to be taught.

    Attributes:
        preset: whose sizes it must have; None = whichever it has.
        window: past latents it sees; None = as many as before.
        lora: rank of adapters; 0 = all weights learn.
        recompute: whether blocks are computed again for their gradients.
        condition: of `CONDITIONS`, of a generator that has not been trained; a codec that has a stem keeps it.
        seed: of whatever is fresh.
    """

    preset: str | None = None
    window: int | None = None
    lora: int = 0
    recompute: bool = False
    condition: str = "stem"
    seed: int = 0


def plan_student(files: Ingredients, data: Sequence[Shards], frames: int, options: StudentOptions) -> StudentConfig:
    """What the student will be. Reads headers and the first clips, no weight.

    Raises:
        InvalidConfigError: generator, codec, preset and options do not fit each other, or the clips do not fit them.
        DataError: a clip cannot be read.
    """
    header = read_part(files.generator)
    if header.part != GENERATOR_PART:
        raise InvalidConfigError(f"{files.generator} holds a {header.part}; --init takes a generator", field="init")
    if options.preset is not None and header.preset != options.preset:
        raise InvalidConfigError(
            f"{files.generator} is {header.preset or 'of no preset'}, not {options.preset}", field="preset"
        )
    config = GeneratorConfig.from_dict(header.config)
    if config.condition_channels != config.latent_channels:
        raise InvalidConfigError(
            f"the generator's condition has {config.condition_channels} channels, its latent {config.latent_channels}; "
            "import it again",
            field="init",
        )
    # A stem is begun once; whoever has learned without one goes on without.
    codec = _codec_config(files.codec, config, "codec" if header.stages else options.condition)
    size = picture_size(data, frames)
    fitted = VideoPreset(config, codec.encoder.space_px).at(size, options.window)
    return StudentConfig(header.preset, fitted, codec, options.lora, header.source)


def load_student(
    files: Ingredients, config: StudentConfig, options: StudentOptions
) -> tuple[VideoStudent, tuple[str, ...]]:
    """The student, and the stages its generator has been through. Raises InvalidConfigError: a file does not fit."""
    text = load_text(files.text, config.generator)
    codec, _ = load_codec(files.codec)
    generator, header = load_generator(files.generator, config.generator)
    stem = codec.stem
    if stem is None and config.codec.stem is not None:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(options.seed)
            stem = Stem(config.codec.stem)
    student = VideoStudent(config, generator, codec.encoder, stem, text, options.seed)
    if options.recompute:
        recompute(student.generator)
    return student.train(), header.stages


def picture_size(data: Sequence[Shards], frames: int) -> Resolution:
    """The size that the pictures of all data sets have.

    Raises:
        InvalidConfigError: they differ, are crops, or a clip is shorter than `frames`, or these are no latents.
        DataError: a clip cannot be read.
    """
    latents_of(frames)
    sizes = {}
    for shards in data:
        size = shards.picture
        if size is None:
            raise InvalidConfigError(
                f"{shards.folder} holds face crops; a video generator learns from whole pictures: "
                "`python -m training prepare VIDEOS OUT --picture 736x416`",
                field="data",
            )
        sizes[size] = shards.folder
        short = [k for k in range(len(shards)) if shards.frames(k) < frames]
        if short:
            raise InvalidConfigError(
                f"{len(short)} of {len(shards)} clips in {shards.folder} are shorter than {frames} frames, one has "
                f"{shards.frames(short[0])}; prepare them with --frames {frames}, or train with fewer",
                field="frames",
            )
    if len(sizes) > 1:
        told = ", ".join(f"{folder} {width}×{height}" for (width, height), folder in sizes.items())
        raise InvalidConfigError(f"pictures must be of one size: {told}", field="data")
    return Resolution(*next(iter(sizes)))


def _codec_config(path: Path, generator: GeneratorConfig, condition: str) -> VideoCodecConfig:
    """Of the checkpoint, with a stem if one is to learn. Raises InvalidConfigError: it does not fit the generator."""
    header = read_part(path)
    if header.part != CODEC_PART:
        raise InvalidConfigError(f"{path} holds a {header.part}; --codec takes a codec", field="codec")
    config = VideoCodecConfig.from_dict(header.config)
    if config.encoder.latent_channels != generator.latent_channels:
        known = ", ".join(f"{name} {p.generator.latent_channels}" for name, p in VIDEO_PRESETS.items())
        raise InvalidConfigError(
            f"{path} makes latents of {config.encoder.latent_channels} channels, the generator takes "
            f"{generator.latent_channels} ({known}); import the codec it was trained with",
            field="codec",
        )
    if condition not in CONDITIONS:
        raise InvalidConfigError(
            f"condition is {condition!r}; it must be one of {', '.join(CONDITIONS)}", field="condition"
        )
    if config.stem is not None or not CONDITIONS[condition]:
        return config
    first, rest = STEM_WIDTHS
    halvings = (config.encoder.space_px // STEM_PATCH_PX).bit_length() - 1
    stem = StemConfig(CONDITIONS[condition], generator.condition_channels, (first, *(halvings * [rest])))
    return replace(config, stem=stem)
