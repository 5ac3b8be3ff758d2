"""Which poses may pass: in order, and at a bearable rate."""

from __future__ import annotations

from typing import Final

from avatar_client.errors import InvalidPoseError

BELIEVED: Final = 10
"""As many poses in a row that go on from each other are a new clock and no fault."""


class PoseGate:
    """Checks the order and the rate of one stream's poses. `max_rate_hz` in poses per second."""

    def __init__(self, max_rate_hz: float, now_us: int) -> None:
        self._rate_hz = max_rate_hz
        self._burst = max(1.0, max_rate_hz / 10)
        self._allowance = self._burst
        self._counted_us = now_us
        self._last = (0, -1)
        self._behind = (0, -1)
        self._behind_count = 0

    def admit(self, seq: int, timestamp_us: int, now_us: int) -> None:
        """Lets a pose pass that was parsed at `now_us`.

        Raises:
            InvalidPoseError: `seq` or `timestamp_us` does not go on from the last, or there are too many poses.
        """
        if not self._in_order(seq, timestamp_us):
            if seq <= self._last[0]:
                raise InvalidPoseError(f"pose.seq is {seq} after {self._last[0]}; it must count up", field="pose.seq")
            raise InvalidPoseError(
                f"pose.timestamp_us is {timestamp_us} after {self._last[1]}; time must go forward",
                field="pose.timestamp_us",
            )
        self._last = (seq, timestamp_us)
        self._behind_count = 0
        earned = (now_us - self._counted_us) * self._rate_hz / 1e6
        self._allowance, self._counted_us = min(self._burst, self._allowance + earned), now_us
        if self._allowance < 1:
            raise InvalidPoseError(
                f"poses come faster than {self._rate_hz:g} a second; the surplus is left out", field="pose"
            )
        self._allowance -= 1

    def _in_order(self, seq: int, timestamp_us: int) -> bool:
        if seq > self._last[0] and timestamp_us > self._last[1]:
            return True
        goes_on = seq > self._behind[0] and timestamp_us > self._behind[1]
        self._behind_count = self._behind_count + 1 if goes_on else 1
        self._behind = (seq, timestamp_us)
        return self._behind_count >= BELIEVED
