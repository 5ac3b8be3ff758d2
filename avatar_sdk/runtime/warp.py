"""The product's floor: the moved photo itself, without a network."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.warp import Warp


@dataclass(eq=False)
class WarpState:
    """What one avatar remembers: only its portrait's precomputed warp."""

    warp: Warp


@dataclass(frozen=True, eq=False)
class WarpDraft:
    """A finished picture on its way to `render`."""

    image: NDArray[np.uint8]
    timings_us: dict[str, int]


class WarpRuntime:
    """Implements `Runtime`: `predict` warps, `render` hands the picture out."""

    name = "warp"
    trained_stages: tuple[str, ...] = ()
    together = False
    delay = 0

    def __init__(self, *, painted_mouth: bool = True) -> None:
        self._painted_mouth = painted_mouth

    def start(self, portrait: Portrait, seed: int = 0) -> WarpState:
        """Precomputes the warp of `portrait`; nothing here is random."""
        return WarpState(Warp(portrait, painted_mouth=self._painted_mouth))

    def replace_portrait(self, state: WarpState, portrait: Portrait) -> None:
        """Mutates `state` in place."""
        state.warp = Warp(portrait, painted_mouth=self._painted_mouth)

    def predict(self, state: WarpState, motion: Motion) -> WarpDraft:
        """The warped picture as a draft."""
        started = time.perf_counter_ns()
        image = state.warp.image(motion)
        return WarpDraft(image, {"warp": (time.perf_counter_ns() - started) // 1000, "generator": 0})

    def render(self, state: WarpState, draft: WarpDraft) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, as `predict` made it."""
        draft.timings_us.update(decode=0, composite=0)
        return draft.image

    def close(self, state: WarpState) -> None:
        """Nothing is held outside `state`."""
