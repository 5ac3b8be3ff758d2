"""How far a stream of fewer bits is from the same stream in full: same weights, noise, frames and portrait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.model.video.config import FRAMES
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


def compare_precision(whole: VideoStream, small: VideoStream, latents: int, seed: int = 0) -> PrecisionError:
    """Runs both streams on the same random frames; both are begun anew."""
    rng = np.random.default_rng(seed)
    height, width = whole.step.frames.shape[1:3]
    portrait = rng.integers(0, 256, (height, width, 3), np.uint8)
    text = random_text(whole)
    for stream in (whole, small):
        stream.begin(portrait, text, seed)
    errors, shown = [], 0.0
    for k in range(latents):
        frames = rng.integers(0, 256, (FRAMES if k else 1, height, width, 3), np.uint8)
        a, b = (_last(stream, frames) for stream in (small, whole))
        errors.append(float((a[0] - b[0]).norm() / b[0].norm()))
        shown = float(np.abs(a[1].astype(int) - b[1]).mean())
    return PrecisionError(errors[0], errors[-1], shown, latents)


def random_text(stream: VideoStream, seed: int = 0) -> Tensor | None:
    """Tokens (S, text_dim) of no meaning, for generators with text."""
    config = stream.config
    if not config.text_dim:
        return None
    return torch.randn(config.text_tokens or 1, config.text_dim, generator=torch.Generator().manual_seed(seed))


def _last(stream: VideoStream, frames: NDArray[np.uint8]) -> tuple[Tensor, NDArray[np.uint8]]:
    """The latent and the last frame of a step."""
    drawn = stream.advance(frames)[-1].copy()
    return stream.step.latent.detach().float().cpu().clone(), drawn
