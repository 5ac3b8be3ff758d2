"""Sound is held back as long as the avatar takes, so that lips and words agree. No clock, no sockets."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE_HZ: Final = 48_000
CHANNELS: Final = 2
LONGEST_S: Final = 2.0
GLIDE: Final = 0.01
"""Share by which sound may run slower or faster while its delay changes: 17 cents of pitch."""
JUMP_S: Final = 0.08
"""A larger change is cross-faded within one block: until a glide had made up for it, lips and words would disagree."""
MEASURED: Final = 48
"""Latencies the delay is made of: the last two seconds."""
FEWEST: Final = 6
DEADBAND_US: Final = 8_000
"""A delay that is right to this much is left alone, and the sound passes bit by bit."""


class LatencyMeter:
    """The avatar's latency, as the median of the last two seconds; steady against single late frames.

    Attributes:
        delay_us: what sound should be delayed by; None until there were enough frames. Unit: microseconds.
    """

    def __init__(self) -> None:
        self.delay_us: int | None = None
        self._samples_us: deque[int] = deque(maxlen=MEASURED)

    def add(self, latency_us: int) -> None:
        """One frame left `latency_us` after what it shows happened. Unit: microseconds."""
        self._samples_us.append(latency_us)
        if len(self._samples_us) >= FEWEST:
            median_us = int(np.median(self._samples_us))
            if self.delay_us is None or abs(median_us - self.delay_us) > DEADBAND_US:
                self.delay_us = median_us


class DelayLine:
    """Delays 48 kHz stereo blocks; the delay changes by gliding, or by a cross-fade when it is far off.

    With a delay that stays, what comes out is exactly what went in.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay = min(max(delay_s, 0.0), LONGEST_S) * RATE_HZ
        self._history: Samples = np.zeros((round(LONGEST_S * RATE_HZ) + 1, CHANNELS), np.int16)

    @property
    def delay_s(self) -> float:
        """The delay now. Unit: seconds."""
        return self._delay / RATE_HZ

    def push(self, block: Samples, target_s: float) -> Samples:
        """Takes (N, 2) int16 samples and gives as many, moving towards a delay of `target_s` seconds."""
        n = len(block)
        line = np.concatenate([self._history, block])
        self._history = line[n:]
        target = round(min(max(target_s, 0.0), LONGEST_S) * RATE_HZ)
        first = len(line) - n
        off = target - self._delay
        if abs(off) > JUMP_S * RATE_HZ:
            ramp = np.linspace(0.0, 1.0, n, endpoint=False)[:, None]
            old = _read(line, first - self._delay + np.arange(n))
            new = line[first - target : first - target + n]
            self._delay = float(target)
            return _rounded(old * (1 - ramp) + new * ramp)
        if off == 0:
            start = first - target
            untouched: Samples = line[start : start + n]
            return untouched
        step = float(np.clip(off, -GLIDE * n, GLIDE * n))
        positions = first + np.arange(n) - (self._delay + step * (np.arange(n) / n))
        self._delay = float(target) if step == off else self._delay + step
        return _rounded(_read(line, positions))


def _read(line: Samples, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The line at fractional positions, linearly between samples."""
    below = np.floor(positions).astype(np.int64)
    share = (positions - below)[:, None]
    above = np.minimum(below + 1, len(line) - 1)
    between: NDArray[np.float64] = line[below] * (1 - share) + line[above] * share
    return between


def _rounded(samples: NDArray[np.float64]) -> Samples:
    rounded: Samples = np.rint(samples).astype(np.int16)
    return rounded
