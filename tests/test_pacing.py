"""The newest pose wins, and 24 frames a second come out of whatever rate the camera has."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avatar_sdk.pacing import FrameClock, Latest


def simulate(arrivals_us: list[int], end_us: int, step_us: int = 0) -> list[tuple[int, int | None]]:
    """(start, age of its pose or None when it is held) of every step; a step keeps the machine busy for `step_us`."""
    clock, steps, since, newest, busy_until = FrameClock(), [], None, 0, 0
    queue = sorted(arrivals_us)
    while True:
        due = clock.due_us(since)
        due = None if due is None else max(due, busy_until)
        if queue and (due is None or queue[0] <= due):
            newest = queue.pop(0)
            clock.pose_arrived(newest)
            since = newest if since is None else since
            continue
        if due is None or due >= end_us:
            return steps
        steps.append((due, None if since is None else due - newest))
        clock.started(due, with_pose=since is not None)
        since, busy_until = None, due + step_us


def camera(rate_hz: float, seconds: float, jitter_us: float = 0.0, seed: int = 0) -> list[int]:
    times = np.arange(int(rate_hz * seconds)) * 1e6 / rate_hz
    return [int(t) for t in times + np.random.default_rng(seed).uniform(0, jitter_us, len(times))]


def test_a_mailbox_keeps_the_newest_and_counts_what_it_lost() -> None:
    box: Latest[int] = Latest()
    assert box.take() is None
    box.put(1)
    box.put(2)
    assert (box.take(), box.take(), box.dropped) == (2, None, 1)


@pytest.mark.parametrize("rate_hz", [24, 25, 30, 60])
@pytest.mark.parametrize("jitter_us", [0, 8000])
def test_every_camera_rate_gives_at_least_24_frames_a_second(rate_hz: float, jitter_us: int) -> None:
    steps = simulate(camera(rate_hz, 21, jitter_us), 20_000_000)
    starts = np.array([start for start, _ in steps])
    per_second = np.histogram(starts, np.arange(0, 20_000_001, 1_000_000))[0]
    assert per_second[1:-1].min() >= 23
    assert 23.9 <= per_second[1:-1].mean() <= 25.1


@pytest.mark.parametrize("rate_hz", [24, 25])
def test_a_camera_near_24_fps_is_followed_pose_by_pose_without_waiting(rate_hz: float) -> None:
    steps = simulate(camera(rate_hz, 21, 8000), 20_000_000)
    ages = [age for _, age in steps]
    assert None not in ages
    assert np.percentile([age for age in ages if age is not None], 95) <= 1000


def test_a_faster_camera_waits_less_than_one_of_its_own_intervals() -> None:
    ages = [age for _, age in simulate(camera(30, 20), 20_000_000) if age is not None]
    assert max(ages) <= 34_000


def test_poses_faster_than_the_frames_never_make_more_frames() -> None:
    steps = simulate(camera(500, 4), 4_000_000)
    assert min(b - a for (a, _), (b, _) in pairwise(steps)) >= 41_000


def test_without_poses_frames_go_on_at_the_nominal_rate() -> None:
    steps = simulate([0], 5_000_000)
    assert len(steps) in range(118, 122)
    assert all(age is None for _, age in steps[1:])


def test_a_late_clock_starts_anew_instead_of_catching_up() -> None:
    steps = simulate(camera(25, 6), 5_000_000, step_us=90_000)
    gaps = [b - a for (a, _), (b, _) in pairwise(steps)]
    assert min(gaps) >= 90_000
    assert all(age is None or age <= 45_000 for _, age in steps)


def test_a_restarted_clock_takes_the_next_pose_at_once() -> None:
    clock = FrameClock()
    clock.started(1_000_000, with_pose=True)
    clock.restart()
    assert clock.due_us(None) is None
    assert clock.due_us(1_000_001) == 1_000_001
