"""Times of flow matching: 0 is the picture, 1 is noise."""

from __future__ import annotations

from typing import Final, TypeVar

import torch
from torch import Tensor

from training.draws import per_row

DISTILL_STEPS: Final = 32
"""Source: AAPT, arXiv 2506.09350, §3.2."""
SHIFT: Final = 3.0
"""How far times lean towards noise. AAPT takes 24 for latents of some 40,000 tokens, whose neighbours betray each other
unless there is much noise; `lite` has 64 tokens a frame, where 3 (as of SD3 at 1024 px) leaves every time some weight.
"""

Time = TypeVar("Time", float, Tensor)


def shift(t: Time, factor: float) -> Time:
    """s·t / (1 + (s − 1)·t): leans t in [0, 1] towards 1 for s > 1.

    Source: AAPT, arXiv 2506.09350, §3.2; first in SD3, arXiv 2403.03206, eq. 23.
    """
    return factor * t / (1 + (factor - 1) * t)


def fixed_times(steps: int, factor: float, device: torch.device | str = "cpu") -> Tensor:
    """(steps + 1,) times from 0 to 1, uniform, then shifted."""
    return shift(torch.linspace(0, 1, steps + 1, device=device), factor)


def uniform_times(rows: int, rng: torch.Generator) -> Tensor:
    """(rows,) of U(0, 1), on the device of `rng`."""
    return per_row(rows, rng, lambda n: torch.rand(n, generator=rng, device=rng.device))


def noise_like(x: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal of the same shape; the first axis is rows."""
    return per_row(len(x), rng, lambda n: torch.randn(n, *x.shape[1:], generator=rng, device=x.device))
