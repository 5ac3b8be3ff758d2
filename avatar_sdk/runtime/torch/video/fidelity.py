"""How far a stream of fewer bits is from the same stream in full: same weights, noise, frames and portrait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.torch.video.source import Pictured, Pixels
from avatar_sdk.runtime.torch.video.stream import VideoStream


@dataclass(frozen=True)
class PrecisionError:
    """Differences of two free-running streams.

    Attributes:
        first: |a − b| / |b| of the first latent, one forward apart.
        last: likewise of the last, after everything that was recycled and remembered.
        grey_levels: mean absolute difference of the last frame's pixels.
        latents: how many were made.
    """

    first: float
    last: float
    grey_levels: float
    latents: int


@dataclass(frozen=True, eq=False)
class Trace:
    """What a stream made of given frames.

    Attributes:
        latents: (1, C, H, W) float32 each.
        frame: (H, W, 3) uint8, the last.
    """

    latents: list[Tensor]
    frame: NDArray[np.uint8]


def trace(stream: VideoStream, portrait: Pixels | Portrait, steps: Iterable[Pictured], seed: int = 0) -> Trace:
    """Runs a stream, which is begun anew; see `VideoStream` for what it takes."""
    stream.begin(portrait, random_text(stream), seed)
    made = []
    for pictured in steps:
        drawn = stream.advance(pictured)
        made.append(stream.step.latent.detach().float().cpu().clone())
    return Trace(made, drawn[-1].copy())


def precision_error(whole: Trace, small: Trace) -> PrecisionError:
    """How far `small` is from `whole`, made of the same frames."""
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(small.latents, whole.latents, strict=True)]
    grey_levels = float(np.abs(small.frame.astype(int) - whole.frame).mean())
    return PrecisionError(errors[0], errors[-1], grey_levels, len(errors))


def random_text(stream: VideoStream, seed: int = 0) -> Tensor | None:
    """Tokens (S, text_dim) of no meaning, for generators with text."""
    config = stream.config
    if not config.text_dim:
        return None
    return torch.randn(config.text_tokens or 1, config.text_dim, generator=torch.Generator().manual_seed(seed))
