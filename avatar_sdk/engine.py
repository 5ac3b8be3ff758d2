"""Loads a runtime, owns the slots, and makes one frame per step.

Offline rendering, the server, evaluation and benchmarks all call the same two halves, `advance` and `finish`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from avatar_client.errors import NoCapacityError
from avatar_client.pose import Pose
from numpy.typing import NDArray

from avatar_sdk.motion import Motion, MotionConfig, MotionState, Retargeter
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime import load_runtime
from avatar_sdk.runtime.protocol import Runtime


@dataclass(frozen=True)
class EngineConfig:
    """How an engine is set up.

    Attributes:
        model: "lite" (shipped default), "warp" (no network) or the path of an exported checkpoint.
        slots: sessions that can live at once.
    """

    model: str = "lite"
    slots: int = 4


@dataclass(eq=False)
class Avatar:
    """Everything one live avatar remembers. Made by `Engine.open`, mutated by every step."""

    portrait: Portrait
    retargeter: Retargeter
    motion: MotionState
    runtime: Any
    open: bool = True
    waiting: deque[Motion] = field(default_factory=deque)
    """Motions whose pictures are still to come."""


@dataclass(frozen=True, eq=False)
class Draft:
    """A frame between the two halves of its step."""

    motion: Motion
    runtime: Any
    motion_us: int


@dataclass(frozen=True, eq=False)
class Picture:
    """One finished frame.

    Attributes:
        image: (H, W, 3) uint8 RGB in [0, 255], without badge.
        motion: what drove it; of the first pictures of a runtime that shows motions late, what will be shown first.
        timings_us: stage → time spent, for the stages motion, warp, generator, decode, composite.
    """

    image: NDArray[np.uint8]
    motion: Motion
    timings_us: dict[str, int]


class Engine:
    """One loaded runtime and its slots."""

    def __init__(self, runtime: Runtime, config: EngineConfig) -> None:
        self.runtime = runtime
        self.config = config
        self._free = config.slots
        self._lock = threading.Lock()

    @classmethod
    def load(cls, config: EngineConfig | None = None) -> Engine:
        """Loads the configured model.

        Raises:
            InvalidConfigError: no such model, or its files do not fit.
            MissingDependencyError: the runtime it needs is not installed.
        """
        config = config or EngineConfig()
        return cls(load_runtime(config.model, config.slots), config)

    @property
    def free_slots(self) -> int:
        """Slots nobody holds."""
        return self._free

    @property
    def at_once(self) -> int:
        """Steps that are best called at the same time, from as many threads; 1 where they take turns."""
        return self.config.slots if self.runtime.together else 1

    def open(self, portrait: Portrait, motion: MotionConfig | None = None, seed: int = 0) -> Avatar:
        """Takes a slot for a new avatar.

        Raises:
            NoCapacityError: every slot is taken.
        """
        with self._lock:
            if self._free == 0:
                raise NoCapacityError(
                    f"all {self.config.slots} slots are taken; close a session, or start the server with more --slots"
                )
            self._free -= 1
        try:
            retargeter = Retargeter(portrait.landmarks, motion or MotionConfig())
            return Avatar(portrait, retargeter, retargeter.start(), self.runtime.start(portrait, seed))
        except BaseException:
            with self._lock:
                self._free += 1
            raise

    def close(self, avatar: Avatar) -> None:
        """Gives the slot back. Idempotent."""
        with self._lock:
            if not avatar.open:
                return
            avatar.open = False
        try:
            self.runtime.close(avatar.runtime)
        finally:  # the runtime's own slot is free before another session may ask for it
            with self._lock:
                self._free += 1

    def warm_up(self, portrait: Portrait, steps: int = 4) -> None:
        """Makes frames that nobody sees, with the portrait as its own driver: compiles and loads what a step needs."""
        avatar = self.open(portrait)
        face = portrait.landmarks / np.float32(portrait.image.shape[1])
        try:
            for k in range(steps):
                self.step(avatar, Pose(timestamp_us=k * 40_000, face=face), k * 40_000)
        finally:
            self.close(avatar)

    def replace_portrait(self, avatar: Avatar, portrait: Portrait) -> None:
        """Mutates `avatar` in place: the next step shows the new portrait, the driver's calibration stays."""
        self.runtime.replace_portrait(avatar.runtime, portrait)
        avatar.waiting.clear()
        avatar.retargeter = Retargeter(portrait.landmarks, avatar.retargeter.config)
        avatar.portrait = portrait

    def advance(self, avatar: Avatar, pose: Pose | None, time_us: int) -> Draft:
        """First half of a step: motion, warp, generator. Mutates `avatar` in place.

        `pose` is the newest pose, or None when there is no new one; `time_us` is the frame's time on the session's
        clock.
        """
        started = time.perf_counter_ns()
        motion = avatar.retargeter.step(avatar.motion, pose, time_us)
        motion_us = (time.perf_counter_ns() - started) // 1000
        return Draft(motion, self.runtime.predict(avatar.runtime, motion), motion_us)

    def finish(self, avatar: Avatar, draft: Draft) -> Picture:
        """Second half of a step: decode and composite. Drafts of one avatar must be finished in order."""
        image = self.runtime.render(avatar.runtime, draft.runtime)
        waiting = avatar.waiting
        waiting.append(draft.motion)
        shown = waiting.popleft() if len(waiting) > self.runtime.delay else waiting[0]
        return Picture(image, shown, {"motion": draft.motion_us, **draft.runtime.timings_us})

    def step(self, avatar: Avatar, pose: Pose | None, time_us: int) -> Picture:
        """One whole step on the calling thread."""
        return self.finish(avatar, self.advance(avatar, pose, time_us))
