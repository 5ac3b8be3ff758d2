"""Ends long work in good order: Ctrl-C, SIGTERM, a time budget."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that SIGTERM and Ctrl-C append to; a second one ends at once."""
    got: list[int] = []

    def note(number: int, _: object) -> None:
        if got:
            raise KeyboardInterrupt
        got.append(number)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: signals are its owner's business
        yield got
        return
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Budget:
    """How long one may go on.

    Attributes:
        deadline: on the monotonic clock. Unit: seconds.
        signals: filled by `stop_signals`.
    """

    deadline: float
    signals: list[int]

    @classmethod
    def of(cls, minutes: float | None, signals: list[int]) -> Budget:
        """From now on; None = without end."""
        return cls(math.inf if minutes is None else time.monotonic() + 60 * minutes, signals)

    def spent(self) -> bool:
        """Whether to stop."""
        return bool(self.signals) or time.monotonic() > self.deadline
