"""Sound that is held back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar_sdk.webrtc.delay import DEADBAND_US, FEWEST, RATE_HZ, DelayLine, LatencyMeter

BLOCK = 960


def tone(seconds: float) -> NDArray[np.int16]:
    """(N, 2) of 440 Hz."""
    wave = 12_000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    return np.repeat(np.rint(wave).astype(np.int16)[:, None], 2, axis=1)


def passed(line: DelayLine, sound: NDArray[np.int16], target_s: float) -> NDArray[np.int16]:
    return np.concatenate([line.push(sound[at : at + BLOCK], target_s) for at in range(0, len(sound), BLOCK)])


@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.14, 2.0])
def test_a_delay_that_stays_gives_back_every_sample(delay_s: float) -> None:
    sound, n = tone(3.0), round(delay_s * RATE_HZ)
    late = passed(DelayLine(delay_s), sound, delay_s)
    assert not late[:n].any()
    assert np.array_equal(late[n:], sound[: len(sound) - n])


@pytest.mark.parametrize("target_s", [0.15, 0.05, 0.6])
def test_a_delay_that_changes_arrives_and_does_not_click(target_s: float) -> None:
    line, sound = DelayLine(0.1), tone(9.0)
    late = passed(line, sound, target_s)
    assert line.delay_s == target_s
    n = round(target_s * RATE_HZ)
    assert np.array_equal(late[-BLOCK:], sound[len(sound) - n - BLOCK : len(sound) - n])
    steepest = np.abs(np.diff(sound[:, 0].astype(int))).max()
    after_start = np.diff(late[round(0.1 * RATE_HZ) + 1 :, 0].astype(int))
    assert np.abs(after_start).max() <= 1.1 * steepest


def test_a_glide_shifts_the_pitch_by_one_percent_at_most() -> None:
    line = DelayLine(0.0)
    blocks = 100
    for at in range(blocks):
        line.push(tone(0.02), 0.05)
        assert line.delay_s <= 0.01 * 0.02 * (at + 1) + 1e-9
    assert line.delay_s == pytest.approx(0.01 * 0.02 * blocks)


def test_the_latency_is_not_told_before_it_is_known_and_late_frames_do_not_move_it() -> None:
    meter = LatencyMeter()
    for _ in range(FEWEST - 1):
        meter.add(60_000)
    assert meter.delay_us is None
    meter.add(60_000)
    for _ in range(3):
        meter.add(900_000)
    assert meter.delay_us == 60_000


def test_the_delay_stays_while_the_latency_moves_little_and_follows_when_it_moves_much() -> None:
    meter = LatencyMeter()
    for latency_us in [60_000] * 48 + [60_000 + DEADBAND_US] * 48:
        meter.add(latency_us)
    assert meter.delay_us == 60_000
    for _ in range(48):
        meter.add(150_000)
    assert meter.delay_us == 150_000
