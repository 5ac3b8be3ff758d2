"""Sessions on threads of their own, stepped together: whoever comes first waits a moment for the others.

No thread belongs to this runtime. The first caller of a round leads it: it waits until everybody is there or the moment
has passed, runs the tick, and hands the pictures to the others. Who comes during a tick is in the next round.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from avatar_client.errors import SessionStateLostError
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.torch.batch import BatchRuntime, Seat

Pixels = NDArray[np.uint8]

GATHER_S: Final = 0.004
"""How long a round waits for those who are late. Unit: seconds."""


@dataclass(frozen=True, eq=False)
class GatheredDraft:
    """A finished picture on its way to `render`.

    Attributes:
        image: (H, W, 3) uint8 RGB, its own.
        timings_us: all of the tick as "generator", for its stages cannot be told apart.
    """

    image: Pixels
    timings_us: dict[str, int]


@dataclass(eq=False)
class _Round:
    """Those who are stepped together."""

    motions: dict[Seat, Motion] = field(default_factory=dict)
    drafts: dict[Seat, GatheredDraft] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, batch: BatchRuntime) -> None:
        """One tick; those who got no picture find none in `drafts`."""
        try:
            tick = batch.tick(self.motions)
            timings_us = {"warp": 0, "generator": tick.engine_us}
            self.drafts = {
                seat: GatheredDraft(image.copy(), dict(timings_us))
                for seat, image in tick.images.items()
                if seat not in tick.lost
            }
        finally:
            self.done.set()


class GatheringRuntime:
    """Implements `Runtime` on a batch; `predict` may be called from as many threads as there are sessions."""

    together = True
    delay = 0

    def __init__(self, batch: BatchRuntime, gather_s: float = GATHER_S) -> None:
        self._batch, self._gather_s = batch, gather_s
        self.name, self.trained_stages = batch.name, batch.trained_stages
        self._round = _Round()
        self._changed = threading.Condition()
        self._ticking = threading.Lock()

    def start(self, portrait: Portrait, seed: int = 0) -> Seat:
        """Takes a slot of the batch; raises as `BatchRuntime.open`."""
        return self._batch.open(portrait, seed)

    def replace_portrait(self, state: Seat, portrait: Portrait) -> None:
        """Mutates `state` in place: another face, the same motion so far."""
        self._batch.replace_portrait(state, portrait)

    def predict(self, state: Seat, motion: Motion) -> GatheredDraft:
        """The whole step, together with whoever else is due.

        Raises:
            SessionStateLostError: this session's memory is no longer finite, or the tick failed.
        """
        with self._changed:
            joined = self._round
            assert state not in joined.motions, "steps of one session follow one another"
            joined.motions[state] = motion
            self._changed.notify_all()
            leads = len(joined.motions) == 1
            if leads:
                self._changed.wait_for(lambda: len(joined.motions) >= self._batch.open_seats, self._gather_s)
        if leads:
            with self._ticking:
                with self._changed:
                    self._round = _Round()
                joined.run(self._batch)
        joined.done.wait()
        if state not in joined.drafts:
            raise SessionStateLostError("the batched step made no picture of this session; start a new one")
        return joined.drafts[state]

    def render(self, state: Seat, draft: GatheredDraft) -> Pixels:
        """(H, W, 3) uint8 RGB, as `predict` made it."""
        draft.timings_us.update(decode=0, composite=0)
        return draft.image

    def close(self, state: Seat) -> None:
        """Gives the slot back. Idempotent."""
        self._batch.close(state)
