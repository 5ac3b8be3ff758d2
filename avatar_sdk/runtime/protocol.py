"""What every runtime does: turn motion into frames, one step at a time.

A step has two halves so that they can run on two threads: the generator of frame k + 1 needs the *latent* of frame k,
never its picture. `predict` owns the recurrent half, `render` the rest; neither touches the other's part of the state.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait


class Draft(Protocol):
    """A frame between the two halves of its step."""

    timings_us: dict[str, int]
    """Stage → time spent. `predict` writes "warp" and "generator", `render` adds "decode" and "composite"."""


class Runtime(Protocol):
    """Loaded weights that serve any number of sessions; all that changes is in the state.

    States and drafts are each runtime's own types; callers only hand them back.
    """

    name: str
    """Preset or checkpoint name, e.g. "lite", "warp"."""

    trained_stages: tuple[str, ...]
    """Stages the checkpoint has been through; empty = untrained, so the output is the warp."""

    together: bool
    """Whether `predict` steps those sessions together that call it at the same time."""

    delay: int
    """A picture shows the motion that was given so many steps before its own; the first ones show the portrait."""

    def start(self, portrait: Portrait, seed: int = 0) -> Any:
        """Everything one live avatar remembers, freshly allocated. Runs what is computed once per portrait."""

    def replace_portrait(self, state: Any, portrait: Portrait) -> None:
        """Mutates `state` in place: the next step shows the new portrait."""

    def predict(self, state: Any, motion: Motion) -> Any:
        """First half of a step: warp and generator. Mutates `state`'s recurrent part in place.

        Returns a `Draft` that `render` turns into a picture; drafts of one state must be rendered in order.
        """

    def render(self, state: Any, draft: Any) -> NDArray[np.uint8]:
        """Second half: decode and composite. Mutates `state`'s decoder part in place.

        With a `delay` the picture is that of an earlier draft.

        Returns a new (H, W, 3) uint8 RGB image in [0, 255].
        """

    def close(self, state: Any) -> None:
        """Gives back what `start` took. Idempotent."""
