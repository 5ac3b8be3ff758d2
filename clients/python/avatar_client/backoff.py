"""When to try again after a broken stream."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReconnectConfig:
    """How a broken stream is taken up again.

    Attributes:
        enabled: whether it is at all; otherwise iterating raises the error.
        base_s: upper bound of the wait before the second try; it doubles from try to try. Unit: seconds.
        max_delay_s: the longest wait. Unit: seconds.
        give_up_after_s: from the break on; then iterating raises the last error. Unit: seconds.
    """

    enabled: bool = True
    base_s: float = 0.3
    max_delay_s: float = 7.0
    give_up_after_s: float = 60.0

    def delay_s(self, attempt: int, at_least_s: float | None = None) -> float:
        """Wait before try number `attempt` (from 1), in seconds: none before the first, then with full jitter.

        `at_least_s` is the server's wish. Source: M. Brooker, Exponential Backoff And Jitter, AWS, 2015.
        """
        bound_s = 0.0 if attempt <= 1 else min(self.max_delay_s, self.base_s * 2.0 ** min(attempt - 2, 30))
        return max(random.uniform(0.0, bound_s), at_least_s or 0.0)
