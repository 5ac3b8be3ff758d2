"""The newest pose wins, and 24 frames a second come out of whatever rate the camera has."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avatar_sdk.pacing import FrameClock, Latest


def simulate(
    arrivals_us: list[int], end_us: int, step_us: int = 0, stalls_us: dict[int, int] | None = None
) -> list[tuple[int, int | None]]:
    """(start, age of its pose or None when it is held) of every step.

    A step keeps the machine busy for `step_us`, or as long as `stalls_us` says for its number.
    """
    clock, steps, newest, waiting, busy_until = FrameClock(), [], 0, False, 0
    queue = sorted(arrivals_us)
    while True:
        due = clock.due_us(waiting=waiting)
        due = None if due is None else max(due, busy_until)
        if queue and (due is None or queue[0] <= due):
            newest, waiting = queue.pop(0), True
            clock.pose_arrived(newest)
            continue
        if due is None or due >= end_us:
            return steps
        steps.append((due, due - newest if waiting else None))
        clock.started(due)
        waiting, busy_until = False, due + (stalls_us or {}).get(len(steps), step_us)


def camera(rate_hz: float, seconds: float, jitter_us: float = 0.0, seed: int = 0) -> list[int]:
    times = np.arange(int(rate_hz * seconds)) * 1e6 / rate_hz
    return [int(t) for t in times + np.random.default_rng(seed).uniform(0, jitter_us, len(times))]


def test_a_mailbox_keeps_the_newest_and_counts_what_it_lost() -> None:
    box: Latest[int] = Latest()
    assert box.take() is None
    box.put(1)
    box.put(2)
    assert (box.take(), box.take(), box.dropped) == (2, None, 1)


def per_second(starts: list[int]) -> np.ndarray:
    """Frames in every whole second but the first and the last, beginning half a frame before the first."""
    times = (np.array(starts) - starts[0] + 20_833) // 1_000_000
    return np.bincount(times)[1:-1]


@pytest.mark.parametrize("rate_hz", [10, 15, 20, 24, 25, 30, 50, 60])
@pytest.mark.parametrize("jitter_us", [0, 8000])
def test_every_camera_rate_gives_24_frames_a_second(rate_hz: float, jitter_us: int) -> None:
    counts = per_second([start for start, _ in simulate(camera(rate_hz, 42, jitter_us), 41_000_000)])
    assert (counts >= 24).mean() >= 0.95  # jitter moves a frame across the border of two seconds
    assert counts.min() >= 23
    assert 23.95 <= counts.mean() <= 25.5


@pytest.mark.parametrize("rate_hz", [24, 25])
def test_a_camera_near_24_fps_is_followed_pose_by_pose(rate_hz: float) -> None:
    steps = simulate(camera(rate_hz, 21, 8000), 20_000_000)
    ages = [age for _, age in steps]
    assert None not in ages
    assert np.percentile([age for age in ages if age is not None], 95) <= 6000
    assert len(steps) == pytest.approx(20 * rate_hz, abs=2)


@pytest.mark.parametrize(("rate_hz", "jitter_us"), [(24, 0), (25, 0), (30, 0), (30, 4000), (60, 0), (60, 4000)])
def test_poses_hardly_wait_whatever_the_camera(rate_hz: float, jitter_us: int) -> None:
    ages = [age for _, age in simulate(camera(rate_hz, 21, jitter_us), 20_000_000) if age is not None]
    assert np.median(ages) <= 4000
    assert np.percentile(ages, 95) <= 17_000


def test_a_camera_that_leaves_out_a_pose_gets_a_frame_of_the_last_one_and_is_followed_again() -> None:
    steps = simulate([us for k, us in enumerate(camera(25, 6)) if k % 10], 5_000_000)
    assert sum(age is None for _, age in steps) == pytest.approx(12, abs=1)
    assert max(age for _, age in steps if age is not None) <= 10_000


def test_poses_in_bursts_and_pauses_never_stop_the_frames() -> None:
    in_threes = [us // 100_000 * 100_000 + k % 3 for k, us in enumerate(camera(30, 11))]
    with_pauses = [us for us in camera(25, 11) if us // 1_000_000 % 5 != 3]
    for arrivals in (in_threes, with_pauses):
        gaps = [b - a for (a, _), (b, _) in pairwise(simulate(arrivals, 10_000_000))]
        assert max(gaps) <= 63_000
        assert min(gaps) >= 24_000


def test_poses_faster_than_the_frames_never_make_more_frames() -> None:
    steps = simulate(camera(500, 4), 4_000_000)
    assert len(steps) <= 4 * 25.6


def test_without_poses_frames_go_on_at_the_nominal_rate() -> None:
    steps = simulate([0], 5_000_000)
    assert len(steps) in range(118, 122)
    assert all(age is None for _, age in steps[1:])


def test_a_clock_that_is_always_late_takes_the_newest_pose_and_never_hurries_after_the_past() -> None:
    steps = simulate(camera(25, 6), 5_000_000, step_us=90_000)
    gaps = [b - a for (a, _), (b, _) in pairwise(steps)]
    assert max(gaps) <= 132_000
    assert all(age is None or age <= 45_000 for _, age in steps)


def test_steps_missed_in_a_short_stall_are_made_up_with_new_poses() -> None:
    steps = simulate(camera(30, 11), 10_000_000, stalls_us=dict.fromkeys(range(20, 220, 40), 90000))
    assert None not in [age for _, age in steps]
    assert per_second([start for start, _ in steps]).min() >= 24


def test_a_restarted_clock_takes_the_next_pose_at_once() -> None:
    clock = FrameClock()
    clock.pose_arrived(1_000_000)
    clock.started(1_000_000)
    clock.restart(2_000_000)
    clock.pose_arrived(2_000_001)
    assert clock.due_us(waiting=True) == 2_000_001


def test_a_restarted_clock_goes_on_without_poses_when_none_comes() -> None:
    clock = FrameClock()
    assert clock.due_us(waiting=False) is None
    clock.restart(2_000_000)
    due = clock.due_us(waiting=False)
    assert due is not None
    assert 2_000_000 < due < 2_100_000
