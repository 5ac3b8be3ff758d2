"""Which observation of the driver each output frame shows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from avatar_client.pose import Pose

from avatar_sdk.driver import Observation


class Tick(NamedTuple):
    """One output frame.

    Attributes:
        time_us: when it is shown, on the driver's clock. Unit: microseconds.
        pose: what drives it, or None when it repeats the pose before.
        seen: the newest observation not later than the frame.
    """

    time_us: int
    pose: Pose | None
    seen: Observation


@dataclass
class Counts:
    """What became of the observations.

    Attributes:
        observations: read from the driver.
        faces: those with a face.
        dropped: observations that no output frame shows.
        repeated: output frames made without a new pose.
    """

    observations: int = 0
    faces: int = 0
    dropped: int = 0
    repeated: int = 0


class Timeline(ABC):
    """Turns observations into output frames and counts what was dropped and repeated."""

    def __init__(self) -> None:
        self.counts = Counts()

    @abstractmethod
    def ticks(self, observations: Iterable[Observation]) -> Iterator[Tick]:
        """The output frames, lazily, in the order of time."""

    def _counted(self, observations: Iterable[Observation]) -> Iterator[Observation]:
        for one in observations:
            self.counts.observations += 1
            self.counts.faces += one.pose.face_present
            yield one


class SourceTimeline(Timeline):
    """Exactly one output frame for every frame of the driver, at its own time."""

    def ticks(self, observations: Iterable[Observation]) -> Iterator[Tick]:
        """As many ticks as observations."""
        for one in self._counted(observations):
            yield Tick(one.pose.timestamp_us, one.pose, one)


class GridTimeline(Timeline):
    """Output frame k at t0 + k / fps, showing the newest pose not later than that, or one interpolated between two."""

    def __init__(self, fps: float, interval_us: int, *, interpolate: bool = False) -> None:
        """`interval_us`: how long the last observation lasts."""
        super().__init__()
        self._interval = Fraction(1_000_000) / Fraction(fps).limit_denominator(1001)
        self._last_us = interval_us
        self._interpolate = interpolate

    def ticks(self, observations: Iterable[Observation]) -> Iterator[Tick]:
        """One tick per grid point from the first observation to the end of the last."""
        k = 0
        start_us = None
        for one, after in self._pairs(observations):
            start_us = one.pose.timestamp_us if start_us is None else start_us
            end_us = after.pose.timestamp_us if after else one.pose.timestamp_us + self._last_us
            shown = 0
            while (due_us := start_us + round(k * self._interval)) < end_us:
                pose: Pose | None = one.pose
                if self._interpolate and after is not None:
                    pose = between(one.pose, after.pose, due_us)
                elif shown:
                    pose = None
                yield Tick(due_us, pose, one)
                self.counts.repeated += pose is None
                shown += 1
                k += 1
            self.counts.dropped += not shown

    def _pairs(self, observations: Iterable[Observation]) -> Iterator[tuple[Observation, Observation | None]]:
        """Every observation with the one after it; the last with None."""
        before = None
        for one in self._counted(observations):
            if before is not None:
                yield before, one
            before = one
        if before is not None:
            yield before, None


def between(one: Pose, after: Pose, time_us: int) -> Pose:
    """The pose at `time_us`, linear between two; where either lacks the face, the earlier one's.

    `one.timestamp_us <= time_us <= after.timestamp_us`.
    """
    if not (one.face_present and after.face_present):
        return replace(one, timestamp_us=time_us)
    share = np.float32((time_us - one.timestamp_us) / (after.timestamp_us - one.timestamp_us))
    body = one.body
    if one.body is not None and after.body is not None:
        body = one.body + share * (after.body - one.body)
    return replace(one, timestamp_us=time_us, face=one.face + share * (after.face - one.face), body=body)
