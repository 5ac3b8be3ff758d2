"""How long the parts of a step take, each alone and, on a GPU, as a graph of its own; likewise in others' layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from avatar_sdk.model.layers import Sink
from avatar_sdk.runtime.torch.video.ceilings import median_s
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.program import replayable
from avatar_sdk.runtime.torch.video.shifting import ShiftingStep
from avatar_sdk.runtime.torch.video.step import Kind
from avatar_sdk.runtime.torch.video.stream import VideoStream

STAGES: Final = ("upload", "warp", "condition", "generator", "decode", "fetch")


@dataclass(frozen=True)
class Layouts:
    """Generator time of a latent, with a full window.

    Attributes:
        ring_ms: ours.
        shifting_ms: with a cache that moves, and a second pass over the clean latent.
        shifting_once_ms: likewise without the second pass.
    """

    ring_ms: float
    shifting_ms: float
    shifting_once_ms: float

    @property
    def ratio(self) -> float:
        """How many times faster the ring is."""
        return self.shifting_ms / self.ring_ms


def stage_times(stream: VideoStream, how: VideoConfig, repeats: int) -> dict[str, float]:
    """Stage → median milliseconds, of a stream that warps. What it remembers is spoilt: begin anew afterwards."""
    step, program = stream.step, stream.program
    page = torch.empty(step.frames.shape, dtype=torch.uint8, pin_memory=how.is_cuda)
    with torch.inference_mode():
        condition = step.condition(Kind.FULL).clone()
    work: dict[str, Callable[[], object]] = {
        "upload": lambda: step.feed.upload(0),
        "warp": replayable(lambda: step.warp(Kind.FULL), how),
        "condition": replayable(lambda: step.condition(Kind.FULL), how),
        "generator": replayable(lambda: step.generate(condition, Kind.FULL), how),
        "decode": replayable(lambda: [None for _ in step.render(Kind.FULL)], how),
        "fetch": lambda: page.copy_(step.frames, non_blocking=True),
    }
    assert tuple(work) == STAGES, "every stage is timed"
    program.step.show()
    return {name: round(1000 * median_s(run, how.device, repeats), 4) for name, run in work.items()}


def compare_layouts(stream: VideoStream, how: VideoConfig, repeats: int) -> Layouts:
    """The same generator, attention and inputs in both layouts, one after the other. Spoils the stream likewise.

    The other layout needs memory for keys and values of its own.
    """
    step, rings = stream.step, stream.step.rings
    with torch.inference_mode():
        condition = step.condition(Kind.FULL).clone()
        given = step.feed.read()
        pairs = zip(rings.sink_keys, rings.layers, strict=True)
        sinks = [Sink(keys, layer.values.read()[:, :, rings.sink_rows]) for keys, layer in pairs]
    other = ShiftingStep(step.generator, sinks, step.prompts, stream.attention)

    def shifting(clean: bool) -> Tensor:
        with torch.inference_mode():
            return other(given, step.latent, condition, clean)

    ours, twice, once = (
        round(1000 * median_s(replayable(run, how), how.device, repeats), 4)
        for run in (
            lambda: step.generate(condition, Kind.FULL),
            lambda: shifting(True),
            lambda: shifting(False),
        )
    )
    return Layouts(ours, twice, once)
