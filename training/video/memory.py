"""How much memory a stage of a video generator needs on each device, before any of it is taken.

An estimate: weights and what optimisers keep of them are counted, what is kept for gradients is reckoned by a rule that
the tests hold against what PyTorch really keeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from avatar_client.errors import InvalidConfigError
from safetensors import safe_open

from avatar_sdk.model.generator import generator_shapes, stays_float32
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import codec_shapes
from avatar_sdk.model.video.config import TaehvConfig, VideoCodecConfig
from avatar_sdk.model.video.streaming import Shape
from avatar_sdk.model.video_presets import VIDEO_PRESETS
from training.errors import OutOfMemoryError

GB: Final = 1e9
FULL: Final = 4
"""Bytes of a float32."""
ADAM: Final = 2
"""Moments per weight."""
KEPT_BYTES: Final = {(False, False): 96, (True, False): 70, (False, True): 72, (True, True): 45}
"""(in bfloat16, with adapters) → bytes per token and unit of width that a block keeps for its gradient, beside the
feed-forward part's inner width and attention's keys and values."""
OUTSIDE: Final = 6
"""Float32 numbers per token and unit of width that are kept outside of the blocks."""
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


@dataclass(frozen=True)
class Count:
    """Numbers in a generator.

    Attributes:
        block: of one block.
        float32: of these, in what is never stored in fewer bits.
        rest: outside of the blocks.
        rest_float32: likewise.
        patch: of the input layer.
        adapters: of one block's adapters, per rank.
    """

    block: int
    float32: int
    rest: int
    rest_float32: int
    patch: int
    adapters: int


def needs(work: Workload) -> Needs:
    """An estimate for one device."""
    count, depth = count_numbers(work.generator), work.generator.depth
    if work.lora:
        learning = depth * work.lora * count.adapters + count.patch
        wide = depth * count.float32 + count.rest_float32
        narrow = depth * count.block + count.rest - wide
        weights = FULL * (wide + learning) + work.stored * narrow
        block = FULL * (count.float32 + work.lora * count.adapters) + work.stored * (count.block - count.float32)
    else:
        learning = depth * count.block + count.rest
        weights, block = FULL * learning, FULL * count.block
    own, kept = FULL * learning, kept_bytes(work)
    judged = work.stage == "adversarial" and work.game
    judge = weights + own * (1 + ADAM) if judged else 0
    if judged:
        # The student's rollout waits while the discriminator looks at it.
        kept += JUDGED * kept_bytes(replace(work, stage="adapt"))
    # Of what is split, one block and what lies outside of the blocks are whole while they compute.
    gathered = (2 * block + FULL * count.rest) * (2 if judged else 1) if work.ranks > 1 else 0
    return Needs(
        weights=weights // work.ranks + gathered,
        learning=own * (2 + ADAM) // work.ranks,
        judge=judge // work.ranks,
        kept=kept,
        codec=_codec(work),
    )


def count_numbers(config: GeneratorConfig) -> Count:
    """Of a generator of any depth; nothing is allocated."""
    shapes = generator_shapes(replace(config, depth=1))
    within = {name: shape for name, shape in shapes.items() if name.startswith(("blocks.", "text_blocks."))}
    rest = {name: shape for name, shape in shapes.items() if name not in within}

    def total(some: Mapping[str, Shape]) -> int:
        return sum(math.prod(shape) for shape in some.values())

    def wide(some: Mapping[str, Shape]) -> int:
        return total({name: shape for name, shape in some.items() if stays_float32(name)})

    layers = [
        s for name, s in within.items() if name.startswith("blocks.") and name.endswith(".weight") and len(s) == 2
    ]
    patch = total({name: shape for name, shape in rest.items() if name.startswith("patch_embedding.")})
    return Count(total(within), wide(within), total(rest), wide(rest), patch, sum(sum(shape) for shape in layers))


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


def kept_bytes(work: Workload) -> int:
    """What a forward keeps until its gradient has come, and one block's insides where they are computed again."""
    config, adapted = work.generator, work.lora > 0
    number = 2 if work.half or (adapted and work.stored < FULL) else FULL
    tokens = work.clips * config.tokens
    # A frame's keys are joined with those of the window and the sink before it.
    past = sum(min(frame, config.window) + 2 for frame in range(work.latents))
    inner = work.latents * (KEPT_BYTES[work.half, adapted] * config.dim + 2 * config.ffn_dim * number)
    block = tokens * (inner + 2 * config.dim * past * number)
    each = tokens * work.latents * config.dim
    outside = OUTSIDE * FULL * each
    if not work.recompute:
        return config.depth * block + outside
    bytes_each = FULL + 2 * number * (work.stage == "adversarial")
    return config.depth * each * bytes_each + block + outside


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
