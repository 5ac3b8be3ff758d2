"""The One-Euro filter on a whole vector at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SPEED_CUTOFF_HZ = 1.0
"""Cutoff of the low pass on the speed, as in the paper."""


@dataclass(eq=False)
class OneEuroState:
    """The filter's memory: last output and filtered speed, (N,) each."""

    value: Floats
    speed: Floats


class OneEuroFilter:
    """A low pass that is calm at rest and quick in motion.

    Source: Casiez, Roussel, Vogel, 1€ Filter, CHI 2012.
    """

    def __init__(self, min_cutoff_hz: Floats, beta: Floats) -> None:
        """`min_cutoff_hz` and `beta` are (N,): every element has its own."""
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta

    def start(self, value: Floats) -> OneEuroState:
        """A fresh memory at `value` (N,)."""
        return OneEuroState(value.copy(), np.zeros_like(value))

    def step(self, state: OneEuroState, value: Floats, interval_s: float) -> Floats:
        """Filters `value` (N,), `interval_s` > 0 after the one before. Mutates `state` in place; returns its value."""
        change = value - state.value
        state.speed += _smoothing_factor(SPEED_CUTOFF_HZ, interval_s) * (change / interval_s - state.speed)
        turn = (2 * math.pi * interval_s) * (self._min_cutoff_hz + self._beta * np.abs(state.speed))
        state.value += change * (turn / (turn + 1))
        return state.value


def _smoothing_factor(cutoff_hz: float, interval_s: float) -> float:
    turn = 2 * math.pi * cutoff_hz * interval_s
    return turn / (turn + 1)
