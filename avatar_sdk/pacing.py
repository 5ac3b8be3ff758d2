"""When a step is due, and which pose it takes: the newest pose wins, every frame has a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


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

    def peek(self) -> T | None:
        """What waits, without taking it."""
        return self._value

    def take(self) -> T | None:
        """What waits, once."""
        value, self._value = self._value, None
        return value


@dataclass(frozen=True)
class FrameClockConfig:
    """How steps are spaced.

    Attributes:
        fps: frames a second. Unit: frames per second.
        early: share of the interval by which a new pose may start its step early, so that a driver slightly faster than
            `fps`, 25 instead of 24, is followed pose by pose instead of beating against the clock.
        patience: share of the interval that a step waits beyond its time for a late pose before it holds the last one.
    """

    fps: float = 24.0
    early: float = 0.1
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

    def due_us(self, pose_received_us: int | None) -> int | None:
        """Time of the next step; None when it waits for the first pose.

        `pose_received_us` is when the waiting pose arrived, or None when none waits.
        """
        if self._last_us is None:
            return pose_received_us
        if pose_received_us is not None:
            return max(pose_received_us, self._last_us + round((1 - self.config.early) * self.interval_us))
        wait = 1 + self.config.patience if self._had_pose else 1.0
        return self._last_us + round(wait * self.interval_us)

    def started(self, now_us: int, *, with_pose: bool) -> None:
        """A step started at `now_us`."""
        held_on_time = not with_pose and self._last_us is not None and not self._had_pose
        if held_on_time and self._last_us is not None and now_us - self._last_us < 2 * self.interval_us:
            # Idle frames keep their grid although each starts a little late.
            self._last_us += self.interval_us
        else:
            self._last_us = now_us
        self._had_pose = with_pose

    def restart(self) -> None:
        """Forgets the past: the next pose starts a step at once."""
        self._last_us = None
        self._had_pose = False
