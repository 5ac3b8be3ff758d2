"""Flow control by acknowledgements, because HTTP/2's own lets seconds of video pile up on the way."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

MOST: Final = 8
FEWEST: Final = 2


class AckWindow:
    """Frames sent and not yet acknowledged, at most `1 + ceil(RTT / frame interval)`, in [2, 8]."""

    def __init__(self, interval_us: int, fixed: int = 0) -> None:
        """`fixed` is the size that the client asked for; 0 = by round trip."""
        self._interval_us = interval_us
        self._size = min(fixed, MOST) or FEWEST
        self._fixed = fixed > 0
        self._under_way: deque[int] = deque()
        self._full_since_us: int | None = None

    @property
    def size(self) -> int:
        """Frames that may be under way."""
        return self._size

    @property
    def open(self) -> bool:
        """Whether one more frame may be sent."""
        return len(self._under_way) < self._size

    def full_us(self, now_us: int) -> int:
        """For how long no more frame could be sent; 0 while one can."""
        return 0 if self._full_since_us is None else now_us - self._full_since_us

    def sent(self, frame_seq: int, now_us: int) -> None:
        """A frame goes out."""
        self._under_way.append(frame_seq)
        if not self.open:
            self._full_since_us = now_us

    def acknowledge(self, frame_seq: int) -> None:
        """Frames up to `frame_seq` have arrived; a number that is not under way changes nothing."""
        while self._under_way and self._under_way[0] <= frame_seq:
            self._under_way.popleft()
        if self.open:
            self._full_since_us = None

    def set_round_trip(self, rtt_us: int) -> None:
        """The client measured its round trip."""
        if not self._fixed:
            self._size = max(FEWEST, min(1 + math.ceil(rtt_us / self._interval_us), MOST))
            if self.open:
                self._full_since_us = None
