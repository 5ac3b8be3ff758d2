"""When a step is due, and which pose it takes: the newest pose wins, every frame has a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LEARNING: Final = 0.05
"""Share of each new interval between poses in the camera's estimated interval."""


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
        followed_fps: a camera up to this rate is followed pose by pose; 25 would otherwise beat against 24. A faster one
            is sampled at `fps`. Unit: poses per second.
        least_gap: when following, steps are at least this far apart however much the poses jitter. Unit: intervals.
        patience: share of the interval that a step waits beyond its time for a late pose before it holds the last one.
    """

    fps: float = 24.0
    followed_fps: float = 26.0
    least_gap: float = 0.6
    patience: float = 0.5


class FrameClock:
    """Says when the next step is due. It has no time of its own: the caller says what time it is.

    It is locked to the poses: a new pose starts a step at once when enough time has passed since the last step. Without
    poses, steps follow each other at the nominal interval, and a clock that is late starts anew instead of catching up.
    """

    def __init__(self, config: FrameClockConfig | None = None) -> None:
        self.config = config or FrameClockConfig()
        self.interval_us = round(1e6 / self.config.fps)
        self._last_us: int | None = None
        self._had_pose = False
        self._arrived_us: int | None = None
        self._pose_interval_us = float(self.interval_us)

    def pose_arrived(self, now_us: int) -> None:
        """A pose came; the clock learns the camera's rate from many of them."""
        if self._arrived_us is not None:
            interval_us = min(now_us - self._arrived_us, 2 * self.interval_us)
            self._pose_interval_us += LEARNING * (interval_us - self._pose_interval_us)
        self._arrived_us = now_us

    def due_us(self, waiting_since_us: int | None) -> int | None:
        """Time of the next step; None when it waits for the first pose.

        `waiting_since_us` is when the first pose since the last step arrived, or None when none did.
        """
        if self._last_us is None:
            return waiting_since_us
        if waiting_since_us is None:
            return self._last_us + round((1 + self.config.patience * self._had_pose) * self.interval_us)
        follows = self._pose_interval_us * self.config.followed_fps >= 1e6
        gap = self.config.least_gap if follows else 1.0
        return max(waiting_since_us, self._last_us + round(gap * self.interval_us))

    def started(self, now_us: int, *, with_pose: bool) -> None:
        """A step started at `now_us`."""
        due_us = now_us if self._last_us is None else self._last_us + self.interval_us
        # A step on the grid keeps to the grid although it starts a little late; any other starts the grid anew.
        late_us = now_us - due_us
        self._last_us = due_us if 0 <= late_us < self.interval_us / 10 else now_us
        self._had_pose = with_pose

    def restart(self) -> None:
        """Forgets the past: the next pose starts a step at once."""
        self._last_us = self._arrived_us = None
        self._had_pose = False
