"""Student forcing: the generator goes on from its own frames, one step a frame, as it will when it serves.

The recycled frame is detached; the gradient of a frame flows into the past through keys and values. A long rollout is
cut into overlapping segments; between them keys and values are detached too, so memory does not grow with its length.

B clips, F frames, C channels, H rows, W columns. Source: AAPT, arXiv 2506.09350, §3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor

from avatar_sdk.model.avatar import one_step
from avatar_sdk.model.cache import GrowingCache
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Prompt, Sink


@dataclass(frozen=True)
class RolloutConfig:
    """How far and over what the student walks.

    Attributes:
        frames: in all.
        segment: frames that are judged, and kept in memory, at once.
        overlap: frames of a segment that are the end of the one before it.
        recycle: whether a step is given the frame before it.
        remember: whether a step sees the keys and values of the frames before it.
    """

    frames: int = 32
    segment: int = 16
    overlap: int = 4
    recycle: bool = True
    remember: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.segment:
            raise InvalidConfigError(
                f"segments of {self.segment} frames that overlap by {self.overlap} bring nothing new"
            )


@dataclass
class RolloutState:
    """Where a rollout stands.

    Attributes:
        frame: index of the next frame.
        recycled_BCHW: the last output, detached.
        caches: one per block; no longer than the window.
    """

    frame: int
    recycled_BCHW: Tensor
    caches: list[GrowingCache]

    @classmethod
    def start(cls, generator: Generator, rows: int, device: torch.device | str) -> RolloutState:
        """Before the first frame."""
        c = generator.config
        blank = torch.zeros(rows, *c.latent_shape, device=device)
        return cls(0, blank, [GrowingCache() for _ in range(c.depth)])

    def detach(self) -> None:
        """Ends a segment: what follows sees the past but sends no gradient into it."""
        for cache in self.caches:
            cache.detach()


def roll(
    generator: Generator,
    condition_BFCHW: Tensor,
    noise_BFCHW: Tensor,
    sinks: Sequence[Sink],
    state: RolloutState,
    config: RolloutConfig,
    prompts: Sequence[Prompt] | None = None,
) -> Tensor:
    """Latents (B, F, C, H, W) of the next frames, one step each. Mutates `state`."""
    rows = len(noise_BFCHW)
    device = noise_BFCHW.device
    ones_B = torch.ones(rows, device=device)
    kept = generator.config.window if config.remember else 0
    latents = []
    for condition, noise in zip(condition_BFCHW.unbind(1), noise_BFCHW.unbind(1), strict=True):
        frame_1 = torch.tensor([state.frame])
        own, behind = ((cos.to(device), sin.to(device)) for cos, sin in generator.ropes(frame_1))
        frame_B = frame_1.to(device).expand(rows)
        v = generator(
            noise,
            state.recycled_BCHW,
            condition,
            ones_B,
            frame_B,
            sinks,
            state.caches,
            ropes=(own, behind),
            prompts=prompts,
        )
        latents.append(one_step(noise, v))
        if config.recycle:
            state.recycled_BCHW = latents[-1].detach()
        state.frame += 1
        for cache in state.caches:
            _forget(cache, kept)
    return torch.stack(latents, 1)


def spans(config: RolloutConfig) -> Iterator[tuple[int, int, int]]:
    """(start, first new frame, end) of every segment; together the new frames are all frames."""
    new = 0
    while new < config.frames:
        start = max(0, new - config.overlap)
        end = min(start + config.segment, config.frames)
        yield start, new, end
        new = end


def _forget(cache: GrowingCache, kept: int) -> None:
    """Drops what has left the window. Attention would mask it."""
    for stored in (cache.keys, cache.values, cache.frames):
        del stored[: max(0, len(stored) - kept)]
