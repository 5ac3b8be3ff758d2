"""The one clock of the client."""

from __future__ import annotations

import time


def monotonic_us() -> int:
    """Now, on the clock that live images and latencies are told by. Unit: microseconds."""
    return time.monotonic_ns() // 1000
