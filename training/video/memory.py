"""How much memory a stage of a video generator needs on each device, before any of it is taken.

An estimate: weights and what optimisers keep of them are counted, what is kept for gradients is reckoned by a rule that
the tests hold against what PyTorch really keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from avatar_client.errors import InvalidConfigError
from safetensors import safe_open

from avatar_sdk.model.generator import generator_shapes, stays_float32
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import codec_shapes
from avatar_sdk.model.video.config import TaehvConfig, VideoCodecConfig
from avatar_sdk.model.video_presets import VIDEO_PRESETS
from training.errors import OutOfMemoryError

GB: Final = 1e9
FULL: Final = 4
"""Bytes of a float32."""
ADAM: Final = 2
"""Moments per weight."""
WIDE: Final = 24
"""Numbers per token and unit of width that a block keeps for its gradient, beside attention's keys and values."""
WORKING: Final = 6
"""Copies of its finest features that a codec's encoder holds at once."""
JUDGED: Final = 4
"""Clips that a discriminator looks at for every clip of a batch: true and made, each also nudged."""


@dataclass(frozen=True)
class Workload:
    """What is trained.

    Attributes:
        stage: "adapt", "distill" or "adversarial".
        generator: at the training pictures' size.
        codec: whose encoder runs beside.
        clips: of this device.
        latents: per clip, or per segment of a rollout.
        lora: rank of adapters; 0 = all weights learn.
        recompute: whether blocks are computed again for their gradients.
        game: whether there is a discriminator.
        half: whether it computes in bfloat16.
        stored: bytes per number of the checkpoint's large matrices.
        ranks: devices that the weights are split among.
    """

    stage: str
    generator: GeneratorConfig
    codec: VideoCodecConfig
    clips: int
    latents: int
    lora: int = 0
    recompute: bool = False
    game: bool = True
    half: bool = True
    stored: int = 2
    ranks: int = 1


@dataclass(frozen=True)
class Needs:
    """Bytes on one device.

    Attributes:
        weights: of the student, also those that stand still.
        learning: gradients, moments and averages.
        judge: all of the discriminator's.
        kept: for gradients.
        codec: the frozen encoder and what it works on.
    """

    weights: int
    learning: int
    judge: int
    kept: int
    codec: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / GB:.1f}" for name, size in asdict(self).items() if size)
        return f"{self.total / GB:.1f} GB ({parts})"


def needs(work: Workload) -> Needs:
    """An estimate for one device."""
    shapes = {name: math.prod(shape) for name, shape in generator_shapes(work.generator).items()}
    count = sum(shapes.values())
    if work.lora:
        learning = sum(_adapters(work)) + sum(n for name, n in shapes.items() if name.startswith("patch_embedding"))
        standing = sum(n * (FULL if stays_float32(name) else work.stored) for name, n in shapes.items())
        weights = standing + FULL * learning
    else:
        learning, weights = count, FULL * count
    own, kept = FULL * learning, _kept(work)
    judged = work.stage == "adversarial" and work.game
    judge = weights + own * (1 + ADAM) if judged else 0
    if judged:
        # The student's rollout waits while the discriminator looks at it.
        kept += JUDGED * _kept(replace(work, stage="adapt"))
    split = work.ranks
    gathered = _largest_block(work) * 2 if split > 1 else 0
    return Needs(
        weights=weights // split + gathered,
        learning=own * (2 + ADAM) // split,
        judge=judge // split,
        kept=kept,
        codec=_codec(work),
    )


def check_memory(work: Workload, free: int) -> Needs:
    """The estimate, if it fits.

    Args:
        work: what is trained.
        free: bytes that the device has left.

    Raises:
        OutOfMemoryError: says what it needs and what would fit.
    """
    wanted = needs(work)
    if wanted.total <= free:
        return wanted
    fitting = next((told for told, other in _smaller(work) if needs(other).total <= free), None)
    out = f"{fitting} fits" if fitting else "nothing smaller fits either: use more devices under torchrun"
    raise OutOfMemoryError(f"{work.stage} needs {wanted} on each device, of which {free / GB:.1f} GB are free; {out}")


def _smaller(work: Workload) -> Iterator[tuple[str, Workload]]:
    """Ways to need less, each beside what it is called, the least harmful first."""
    gentle = replace(work, recompute=True)
    yield "--recompute", gentle
    fewer = replace(gentle, clips=1)
    yield f"--recompute --clips {work.ranks}", fewer
    adapted = replace(fewer, lora=work.lora or 32)
    yield f"--recompute --clips {work.ranks} --lora {adapted.lora}", adapted
    for latents in (5, 3, 2):
        if latents < work.latents:
            way = f"--recompute --clips {work.ranks} --lora {adapted.lora}, --frames {4 * latents - 3}"
            if work.stage == "adversarial":
                way += f" --segment {latents} --rollout {latents} --overlap 1"
            yield way, replace(adapted, latents=latents)
    rows, columns = work.generator.grid_shape
    for name, preset in VIDEO_PRESETS.items():
        if preset.generator.dim < work.generator.dim and preset.generator.patch == work.generator.patch:
            other = replace(preset.generator, grid=rows, columns=columns)
            yield (
                f"--preset {name} with --recompute --clips {work.ranks} --lora 32",
                replace(adapted, generator=other, latents=min(work.latents, 5)),
            )


def _adapters(work: Workload) -> Iterator[int]:
    for name, shape in generator_shapes(work.generator).items():
        if name.startswith("blocks.") and name.endswith(".weight") and len(shape) == 2:
            yield work.lora * sum(shape)


def _kept(work: Workload) -> int:
    """What the generator's forward keeps for its gradient."""
    config, number = work.generator, 2 if work.half else FULL
    tokens = work.clips * config.tokens
    past = sum(min(frame, config.window) + 2 for frame in range(work.latents))
    block = tokens * (work.latents * (WIDE * config.dim + 2 * config.ffn_dim) + 2 * config.dim * past) * number
    if not work.recompute:
        return config.depth * block
    numbers = FULL + 2 * number * (work.stage == "adversarial")
    return config.depth * tokens * work.latents * config.dim * numbers + block


def _largest_block(work: Workload) -> int:
    shapes = generator_shapes(work.generator)
    block = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("blocks.0."))
    rest = sum(math.prod(shape) for name, shape in shapes.items() if not name.startswith("blocks."))
    return (block + rest) * (work.stored if work.lora else FULL)


def _codec(work: Workload) -> int:
    shapes = codec_shapes(work.codec)
    weights = FULL * sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("encoder."))
    rows, columns = work.generator.grid_shape
    side = work.generator.patch * work.codec.encoder.space_px
    encoder = work.codec.encoder
    width = encoder.encoder_width if isinstance(encoder, TaehvConfig) else encoder.width
    return weights + WORKING * 4 * rows * columns * side**2 * width * FULL * work.clips


def stored_bytes(generator: Path) -> int:
    """Bytes per number of the large matrices in a checkpoint; no weight is read."""
    with safe_open(generator, "numpy") as file:
        return FULL if file.get_slice("head.weight").get_dtype() == "F32" else FULL // 2


def free_bytes(device: str) -> int:
    """What a CUDA device has left.

    Raises:
        InvalidConfigError: it is none.
    """
    import torch

    if torch.device(device).type != "cuda":
        raise InvalidConfigError(f"{device} is no CUDA device", field="device")
    return int(torch.cuda.mem_get_info(device)[0])
