"""What a student's walk is like, beside the truth.

All in latents, which are all that a generator makes; the unit is the deviation of the true ones, channel by channel.

B clips, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from avatar_sdk.model.avatar import AvatarModel
from training.data.batches import Batch, frames_of
from training.rollout import RolloutConfig
from training.walk import student_walk

SMOOTH: Final = 4
"""Frames that are averaged before motion is measured, or noise would count as motion."""
REACH: Final = 8
"""Frames over which a change counts as motion: a third of a second."""
SETTLE: Final = 16
"""Frames before which neither motion nor jitter is looked at."""
STILL: Final = 48
"""Frames that a driver keeps still for jitter, after settling."""


@dataclass(frozen=True)
class Measures:
    """Of one arm.

    Attributes:
        error: per frame, mean distance to the truth. Unit: deviations of the truth.
        late: mean of `error` beyond the longest training length.
        motion: change of the latents within a third of a second, against the truth's; 0 = static, 1 = as the truth.
        followed: how much of the truth's motion they make, by regression; 0 = none, 1 = all.
        jitter: change from frame to frame before a still driver, against the truth's before a moving one.
        spread: deviation against the truth's; 0 = collapsed.
    """

    error: tuple[float, ...]
    late: float
    motion: float
    followed: float
    jitter: float
    spread: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measures:
        """Inverse of `to_dict`."""
        return cls(**{**values, "error": tuple(values["error"])})


@torch.no_grad()
def measured(model: AvatarModel, people: Batch, walk: RolloutConfig, late_from: int, seed: int) -> Measures:
    """Lets the student walk all frames of `people`, and then stand before a still driver.

    Args:
        model: the student.
        people: clips; the walk is as long as they are.
        walk: whether it recycles and remembers; lengths do not matter.
        late_from: frame from which error counts as late.
        seed: of the noise.
    """
    fake, true = _walked(model, people, walk, seed)
    last = people.truth_BFCHW.shape[1] - 1
    still = frames_of(people, torch.full((SETTLE + STILL,), last - last % SETTLE))
    standing, _ = _walked(model, still, walk, seed)
    return compare(fake, true, standing, late_from)


def compare(fake_BFCHW: Tensor, true_BFCHW: Tensor, still_BFCHW: Tensor, late_from: int) -> Measures:
    """The measures of a walk, its truth, and what the same student makes before a still driver."""
    unit = true_BFCHW.std((0, 1, 3, 4), keepdim=True)
    fake, true, still = (x / unit for x in (fake_BFCHW, true_BFCHW, still_BFCHW))
    error_F = (fake - true).abs().mean((0, 2, 3, 4))
    made, wanted = (_moves(x[:, SETTLE:]) for x in (fake, true))
    trembling = still[:, SETTLE:].diff(dim=1).abs().mean() / true[:, SETTLE:].diff(dim=1).abs().mean()
    return Measures(
        error=tuple(error_F.tolist()),
        late=float(error_F[late_from:].mean()),
        motion=float(made.abs().mean() / wanted.abs().mean()),
        followed=float((made * wanted).mean() / wanted.square().mean()),
        jitter=float(trembling),
        spread=float(fake.std() / true.std()),
    )


def _walked(model: AvatarModel, people: Batch, walk: RolloutConfig, seed: int) -> tuple[Tensor, Tensor]:
    """Latents made and true."""
    frames = people.truth_BFCHW.shape[1]
    whole = replace(walk, frames=frames, segment=frames, overlap=0)
    rng = torch.Generator().manual_seed(seed)
    (one,) = student_walk(model, people, whole, rng)
    return one.fake_BFCHW, one.true_BFCHW


def _moves(x_BFCHW: Tensor) -> Tensor:
    """Change over `REACH` frames of the means of `SMOOTH` frames."""
    calm = x_BFCHW.unfold(1, SMOOTH, 1).mean(-1)
    return calm[:, REACH:] - calm[:, :-REACH]
