from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from avatar_client.pose import FACE_SHAPE, Pose
from hypothesis import given
from hypothesis import strategies as st

from avatar_sdk.driver import Observation
from avatar_sdk.timeline import GridTimeline, SourceTimeline, between


def observations(times_us: list[int], absent: frozenset[int] = frozenset()) -> list[Observation]:
    """Observation i has all its landmarks at i / 1000."""
    return [
        Observation(Pose.absent(t) if i in absent else Pose(t, np.full(FACE_SHAPE, i / 1000, np.float32)))
        for i, t in enumerate(times_us)
    ]


def test_source_rate_gives_one_frame_per_driver_frame_at_its_own_time() -> None:
    seen = observations([0, 40_000, 95_000, 120_000])
    ticks = list(SourceTimeline().ticks(seen))
    assert [tick.time_us for tick in ticks] == [0, 40_000, 95_000, 120_000]
    assert [tick.pose for tick in ticks] == [one.pose for one in seen]


def test_a_grid_frame_shows_the_newest_pose_not_later_than_itself() -> None:
    seen = observations([i * 33_333 + 500_000 for i in range(30)])
    ticks = list(GridTimeline(24, 33_333).ticks(seen))
    for tick in ticks:
        newest = max(one.pose.timestamp_us for one in seen if one.pose.timestamp_us <= tick.time_us)
        assert tick.seen.pose.timestamp_us == newest


@given(
    intervals=st.lists(st.integers(5_000, 200_000), min_size=1, max_size=40),
    fps=st.sampled_from([12.0, 24.0, 25.0, 29.97, 60.0]),
)
def test_the_grid_covers_the_driver_evenly_and_every_pose_is_shown_or_counted_as_dropped(
    intervals: list[int], fps: float
) -> None:
    times = [0]
    for interval in intervals:
        times.append(times[-1] + interval)
    timeline = GridTimeline(fps, 40_000)
    ticks = list(timeline.ticks(observations(times)))
    assert len(ticks) == pytest.approx((times[-1] + 40_000) / 1e6 * fps, abs=1.01)
    assert all(abs((b.time_us - a.time_us) - 1e6 / fps) <= 2 for a, b in pairwise(ticks))
    shown = sum(tick.pose is not None for tick in ticks)
    assert shown + timeline.counts.dropped == timeline.counts.observations == len(times)
    assert shown + timeline.counts.repeated == len(ticks)


def test_a_slow_driver_is_repeated_rather_than_sped_up() -> None:
    timeline = GridTimeline(24, 100_000)
    ticks = list(timeline.ticks(observations([0, 100_000, 200_000])))
    assert [tick.pose is None for tick in ticks] == [False, True, True, False, True, False, True, True]
    assert timeline.counts.repeated == 5


def test_interpolation_moves_between_two_poses() -> None:
    ticks = list(GridTimeline(24, 100_000, interpolate=True).ticks(observations([0, 100_000, 200_000])))
    levels = [float(tick.pose.face[0, 0]) for tick in ticks if tick.pose]
    assert levels[:6] == pytest.approx([t / 24 / 100 for t in range(5)] + [0.002], abs=1e-6)


def test_nothing_is_interpolated_over_a_lost_face() -> None:
    one, lost = (o.pose for o in observations([0, 40_000], absent=frozenset({1})))
    assert np.array_equal(between(one, lost, 20_000).face, one.face)
    assert not between(lost, one, 50_000).face_present
