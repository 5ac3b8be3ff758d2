"""What is trained: stage 3 as the recipe has it, and the same with one thing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from avatar_client.errors import InvalidConfigError

from training.discriminator import Kind
from training.rollout import RolloutConfig
from training.stages.adversarial import AdversarialConfig

SEGMENT: Final = 8
OVERLAP: Final = 2
ROWS: Final = 6
"""Segments in one update, of all clips together: the same in every arm, so that longer walks do not learn from more."""
LR: Final = 3e-4
JUDGE_LR: Final = 1e-3
PENALTY: Final = 10.0
"""Few steps and small networks: a discriminator held as tightly as in long runs would not have an opinion in time."""
LATENT_WEIGHT: Final = 0.1
"""Of reconstruction beside the game, where there is any: small, or it alone would decide."""


@dataclass(frozen=True)
class Arm:
    """One way to train stage 3.

    Attributes:
        name: of its folder.
        says: what it is, in words.
        segments: that a training walk is long; 1, 2 or 6, as AAPT's 10, 19 and 55 seconds.
        teacher_forced: see `AdversarialConfig`.
        recycle: see `RolloutConfig`.
        remember: see `RolloutConfig`.
        discriminator: see `AdversarialConfig`.
        latent_weight: see `AdversarialConfig`; 0 = the game alone.
    """

    name: str
    says: str
    segments: int = 1
    teacher_forced: bool = False
    recycle: bool = True
    remember: bool = True
    discriminator: Kind = "causal"
    latent_weight: float = LATENT_WEIGHT

    @property
    def clips(self) -> int:
        """Per batch."""
        return ROWS // self.segments

    @property
    def walk(self) -> RolloutConfig:
        """The training walk."""
        return RolloutConfig(frames_of(self.segments), SEGMENT, OVERLAP, self.recycle, self.remember)

    def config(self) -> AdversarialConfig:
        """Of its stage 3: latents only, as the codec is the same in all arms."""
        return AdversarialConfig(
            frames=self.walk.frames,
            rollout=self.walk,
            discriminator=self.discriminator,
            teacher_forced=self.teacher_forced,
            lr=LR,
            judge_lr=JUDGE_LR,
            game_weight=1.0,
            penalty=PENALTY,
            latent_weight=self.latent_weight,
            pixel_frames=0,
            ema=0.9,
        )


ARMS: Final = (
    Arm("student", "the recipe: one segment after its own frames"),
    Arm("teacher-forced", "after true frames", teacher_forced=True),
    Arm("no-recycle", "without the frame before", recycle=False),
    Arm("no-cache", "without keys and values of the frames before", remember=False),
    Arm("twice", "two segments", segments=2),
    Arm("six-times", "six segments", segments=6),
    Arm("causal", "the game alone, a logit per frame", latent_weight=0.0),
    Arm("bidirectional", "the game alone, one logit per clip", discriminator="bidirectional", latent_weight=0.0),
)


def frames_of(segments: int) -> int:
    """Frames of a walk of so many overlapping segments."""
    return SEGMENT + (segments - 1) * (SEGMENT - OVERLAP)


LONGEST: Final = frames_of(max(arm.segments for arm in ARMS))
"""Frames that any arm has walked in training; what comes later is late."""


def arms_named(names: Sequence[str]) -> tuple[Arm, ...]:
    """In the order of `ARMS`; none named = all.

    Raises:
        InvalidConfigError: there is no such arm.
    """
    known = {arm.name: arm for arm in ARMS}
    for name in names:
        if name not in known:
            raise InvalidConfigError(f"there is no arm {name!r}; there are {', '.join(known)}")
    return tuple(arm for arm in ARMS if not names or arm.name in names)
