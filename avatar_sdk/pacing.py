"""When a step is due, and which pose it takes: the newest pose wins, every frame has a deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LEARNING: Final = 0.05
"""Share of each new interval between poses in the camera's estimated interval."""
LATENESS: Final = 0.15
"""How much later than expected a coming pose may be before the waiting one is taken after all. Unit: intervals."""
HOPELESS: Final = 3
"""A clock that is later than this starts anew; until then it catches up with poses as they come. Unit: intervals."""
MISSED: Final = 3
"""A camera that left out as many poses has fallen silent."""


class Latest(Generic[T]):
    """A mailbox with one slot: a new value replaces one that nobody took, and the loss is counted."""

    def __init__(self) -> None:
        self._value: T | None = None
        self.dropped = 0

    def __bool__(self) -> bool:
        """Whether a value waits."""
        return self._value is not None

    def put(self, value: T) -> None:
        """Leaves `value` for the next `take`."""
        self.dropped += self._value is not None
        self._value = value

    def take(self) -> T | None:
        """What waits, once."""
        value, self._value = self._value, None
        return value


@dataclass(frozen=True)
class FrameClockConfig:
    """How steps are spaced.

    Attributes:
        fps: frames a second. Unit: frames per second.
        early: a waiting pose starts its step this much before its time, so that cameras of up to 25.5 poses a second
            are followed pose by pose. Unit: intervals.
        patience: how long beyond its time a step waits for a pose that is about to come. Unit: intervals.
        least_gap: steps are at least this far apart, however much the poses jitter. Unit: intervals.
    """

    fps: float = 24.0
    early: float = 0.06
    patience: float = 0.5
    least_gap: float = 0.6


class FrameClock:
    """Says when the next step is due. It has no time of its own: the caller says what time it is.

    Frame k is due at t0 + k / fps, and t0 follows the poses: one that comes a little early pulls it along. At its time
    a step takes the nearer pose: the one that waits, or the one about to come. Without poses the frames go on at the
    same rate, and a clock that is hopelessly late starts anew.
    """

    def __init__(self, config: FrameClockConfig | None = None) -> None:
        self.config = config or FrameClockConfig()
        self.interval_us = round(1e6 / self.config.fps)
        self._next_us: int | None = None
        self._last_us = 0
        self._restarted_us: int | None = None
        self._arrived_us: int | None = None
        self._pose_interval_us = float(self.interval_us)

    def pose_arrived(self, now_us: int) -> None:
        """A pose came; the clock learns the camera's rate from many of them."""
        if self._arrived_us is not None:
            interval_us = min(now_us - self._arrived_us, 2 * self.interval_us)
            self._pose_interval_us += LEARNING * (interval_us - self._pose_interval_us)
        self._arrived_us = now_us

    def due_us(self, *, waiting: bool) -> int | None:
        """Time of the next step; None when it waits for the first pose.

        `waiting` says whether a pose has arrived since the last step.
        """
        arrived_us = self._arrived_us
        interval_us, config = self.interval_us, self.config
        if self._next_us is None:
            if waiting:
                return arrived_us
            return None if self._restarted_us is None else self._restarted_us + round(1.5 * interval_us)
        patience_us = round(config.patience * interval_us)
        least_us = self._last_us + round(config.least_gap * interval_us)
        if not waiting:
            # Only new poses catch up: the last one once more would be no news.
            due_us = max(self._next_us, self._last_us + interval_us - patience_us)
            coming_us = self._coming_us(due_us - patience_us)
            about_to_come = coming_us is not None and coming_us <= due_us + patience_us
            return due_us + patience_us if about_to_come else max(due_us, least_us)
        assert arrived_us is not None
        latest_us = self._next_us + patience_us
        ready_us = max(self._next_us - round(config.early * interval_us), least_us, arrived_us)
        coming_us = arrived_us + round(self._pose_interval_us)
        if coming_us <= latest_us and coming_us - ready_us < ready_us - arrived_us:
            return min(coming_us + round(LATENESS * interval_us), latest_us)
        return ready_us

    def started(self, now_us: int) -> None:
        """A step started at `now_us`."""
        due_us = now_us if self._next_us is None else self._next_us
        if now_us > due_us + HOPELESS * self.interval_us:
            due_us = now_us
        self._last_us = now_us
        self._next_us = min(due_us, now_us) + self.interval_us

    def restart(self, now_us: int) -> None:
        """Forgets the past: the next pose starts a step at once, and when none comes soon, frames go on without."""
        self._next_us = self._arrived_us = None
        self._restarted_us = now_us

    def _coming_us(self, from_us: float) -> int | None:
        """When the first pose after `from_us` should come; None when the camera has fallen silent."""
        if self._arrived_us is None:
            return None
        missed = max(1, math.ceil((from_us - self._arrived_us) / self._pose_interval_us))
        return self._arrived_us + round(missed * self._pose_interval_us) if missed <= MISSED else None
