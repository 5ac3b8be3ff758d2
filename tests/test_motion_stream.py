"""What happens over time: neutral poses, gaps, outliers, smoothing, and changes while running."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from avatar_client.pose import Pose
from motion_faces import (
    FRAME_US,
    SCALE,
    Floats,
    drive,
    largest_step,
    lid_opening,
    lip_gaps,
    measured,
    neutral_face,
    portrait_of,
    pose,
    sample_faces,
    turned,
    with_openings,
)

from avatar_sdk.motion import (
    Gains,
    Motion,
    MotionConfig,
    MotionEvent,
    MotionSource,
    Neutral,
    Retargeter,
    SmoothingConfig,
)

EXACT = MotionConfig(neutral=Neutral.FIRST, smoothing=None)


def sample_portrait() -> Floats:
    return portrait_of(neutral_face())


def repeated(face: Floats, count: int) -> Floats:
    return np.repeat(face[None], count, axis=0)


def width_px() -> float:
    return measured(sample_portrait()).width


def absences(retargeter: Retargeter, state: object, start: int, count: int) -> list[Motion]:
    return [
        retargeter.step(state, Pose.absent((start + k) * FRAME_US), (start + k) * FRAME_US)  # type: ignore[arg-type]
        for k in range(count)
    ]


# Neutral


@pytest.mark.parametrize("first", ["turned", "blinking", "speaking"])
def test_a_bad_first_frame_never_poisons_a_session(first: str) -> None:
    rest = neutral_face()
    bad = {
        "turned": turned(rest, yaw=28),
        "blinking": with_openings(rest, lids=0.1),
        "speaking": with_openings(rest, lips=0.12),
    }[first]
    retargeter = Retargeter(sample_portrait(), MotionConfig(smoothing=None))
    motions = drive(retargeter, np.concatenate([repeated(bad, 2), repeated(rest, 60)]))
    off = motions[-1].landmarks - sample_portrait()
    assert np.abs(off - off.mean(0)).max() < 1.0
    assert np.abs(off.mean(0)).max() < 0.05 * width_px()
    assert largest_step(motions[3:]) < 0.15 * width_px()


def test_the_first_pose_stays_neutral_when_asked_for() -> None:
    turned_first = turned(neutral_face(), yaw=20)
    motions = drive(
        Retargeter(sample_portrait(), EXACT), np.concatenate([turned_first[None], repeated(neutral_face(), 40)])
    )
    assert measured(motions[-1].landmarks).axes[2, 0] == pytest.approx(np.sin(np.radians(20)), abs=0.03)


def test_automatic_neutral_settles() -> None:
    retargeter = Retargeter(sample_portrait(), MotionConfig())
    state = retargeter.start()
    chosen = []
    for lap in range(3):
        drive(retargeter, sample_faces(), state, start=lap * 300)
        chosen.append(state.neutral)
    assert chosen[1] is chosen[2]


def test_calibration_takes_the_next_second_and_leaves_out_a_blink() -> None:
    rest, leaning = neutral_face(), turned(neutral_face(), roll=12)
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    drive(retargeter, repeated(rest, 5), state)
    retargeter.calibrate(state)
    second = repeated(leaning, 26)
    second[10:13] = with_openings(leaning, lids=0.1)
    drive(retargeter, second[:-1], state, start=5)
    assert state.take_events() == []
    drive(retargeter, second[-1:], state, start=30)
    assert state.take_events() == [MotionEvent.CALIBRATED]
    motions = drive(retargeter, repeated(leaning, 20), state, start=31)
    assert np.abs(motions[-1].landmarks - sample_portrait()).max() < 0.5
    assert largest_step(motions) < 0.1 * width_px()


def test_calibration_holds_against_the_automatic_search() -> None:
    tilted = turned(neutral_face(), pitch=14)
    retargeter = Retargeter(sample_portrait(), MotionConfig())
    state = retargeter.start()
    retargeter.calibrate(state)
    drive(retargeter, repeated(tilted, 30), state)
    drive(retargeter, repeated(neutral_face(), 60), state, start=30)
    assert state.neutral == pytest.approx(tilted)


def test_a_named_pose_can_be_the_neutral() -> None:
    chosen = sample_faces()[150]
    retargeter = Retargeter(sample_portrait(), MotionConfig(smoothing=None))
    state = retargeter.start()
    retargeter.set_neutral(state, pose(chosen, 0))
    motion = retargeter.step(state, pose(chosen, 1), FRAME_US)
    assert np.abs(motion.landmarks - sample_portrait()).max() < 0.01


def test_a_better_neutral_changes_the_face_but_not_the_seat() -> None:
    rest = neutral_face()
    near, far = with_openings(turned(rest, yaw=20), lips=0.1), rest * np.float32(0.7)
    retargeter = Retargeter(sample_portrait(), MotionConfig(smoothing=None))
    state = retargeter.start()
    start = drive(retargeter, repeated(near, 50), state)
    away = drive(retargeter, repeated(far, 40), state, start=50)
    assert state.neutral == pytest.approx(far, abs=1e-4)
    assert away[-1].head_scale / start[-1].head_scale == pytest.approx(0.7, rel=0.12)


def test_a_moved_chair_is_forgotten_after_a_while() -> None:
    retargeter = Retargeter(sample_portrait(), MotionConfig())
    state = retargeter.start()
    drive(retargeter, repeated(neutral_face(), 50), state)
    moved = neutral_face() + np.array([0.1, 0.05, 0], np.float32)
    at_once = drive(retargeter, repeated(moved, 25), state, start=50)[-1]
    later = drive(retargeter, repeated(moved, 25 * 45), state, start=75)[-1]
    there = 0.1 * float(SCALE)
    assert (at_once.landmarks - sample_portrait())[:, 0].mean() > 0.5 * there
    assert (later.landmarks - sample_portrait())[:, 0].mean() < 0.15 * there


# Gaps


def test_a_gap_is_held_then_eased_into_idle_and_told() -> None:
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    before = drive(retargeter, sample_faces()[100:120], state)
    gap = absences(retargeter, state, start=20, count=50)
    sources = [motion.source for motion in gap]
    assert sources == [MotionSource.HELD] * 2 + [MotionSource.IDLE] * 48
    assert np.array_equal(gap[1].landmarks, before[-1].landmarks)
    assert largest_step([before[-1], *gap]) < 0.12 * width_px()
    assert measured(gap[-1].landmarks).axes == pytest.approx(measured(sample_portrait()).axes, abs=0.05)
    assert state.take_events() == [MotionEvent.FACE_LOST]


def test_a_returning_face_is_told_and_does_not_jump() -> None:
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    drive(retargeter, sample_faces()[:5], state)
    gap = absences(retargeter, state, start=5, count=50)
    state.take_events()
    far = turned(neutral_face(), yaw=20)
    back = drive(retargeter, repeated(far, 30), state, start=55)
    assert state.take_events() == [MotionEvent.FACE_FOUND]
    assert largest_step([gap[-1], *back]) < 0.12 * width_px()
    assert measured(back[-1].landmarks).axes == pytest.approx(measured(far).axes, abs=0.01)


def test_an_idle_avatar_blinks_and_breathes_the_same_way_for_the_same_seed() -> None:
    def idle(seed: int) -> list[Motion]:
        retargeter = Retargeter(sample_portrait(), MotionConfig(seed=seed))
        return absences(retargeter, retargeter.start(), start=0, count=250)

    motions = idle(1)
    openings = np.array([lid_opening(motion.landmarks) for motion in motions])
    assert openings.min() < 0.3 * openings.max()
    heights = np.array([motion.landmarks[168, 1] for motion in motions])
    assert 0.005 * width_px() < np.ptp(heights) < 0.06 * width_px()
    assert all(np.array_equal(a.landmarks, b.landmarks) for a, b in zip(motions, idle(1), strict=True))
    assert not all(np.array_equal(a.landmarks, b.landmarks) for a, b in zip(motions, idle(2), strict=True))


def test_without_idle_motion_the_avatar_rests_as_in_the_portrait() -> None:
    retargeter = Retargeter(sample_portrait(), MotionConfig(idle=False))
    motions = absences(retargeter, retargeter.start(), start=0, count=40)
    assert np.abs(motions[-1].landmarks - sample_portrait()).max() < 0.01


def test_no_new_pose_is_held_as_an_absent_face_is() -> None:
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    retargeter.step(state, pose(neutral_face(), 0), 0)
    assert retargeter.step(state, None, 90_000).source is MotionSource.HELD
    assert retargeter.step(state, None, 110_000).source is MotionSource.IDLE


# Outliers


def test_a_teleport_is_dropped_and_counted() -> None:
    faces = repeated(neutral_face(), 10)
    faces[5] += np.array([0.35, 0.1, 0], np.float32)
    faces[7] *= np.float32(0.4)
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    motions = drive(retargeter, faces, state)
    assert state.dropped_outliers == 2
    assert [motion.source for motion in motions].count(MotionSource.HELD) == 2
    assert np.abs(motions[5].landmarks - motions[4].landmarks).max() < 1e-3


def test_a_new_place_is_accepted_after_a_few_frames() -> None:
    faces = repeated(neutral_face(), 30)
    faces[10:] += np.array([0.40, 0.0, 0], np.float32)
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    motions = drive(retargeter, faces, state)
    assert state.dropped_outliers == 2
    assert np.abs(motions[-1].landmarks - portrait_of(faces[-1])).max() < 0.03 * width_px()
    assert largest_step(motions) < 0.35 * 0.40 * float(SCALE)


def test_a_face_without_extent_is_dropped() -> None:
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    retargeter.step(state, pose(neutral_face(), 0), 0)
    retargeter.step(state, pose(np.full_like(neutral_face(), 0.5), 1), FRAME_US)
    assert state.dropped_outliers == 1


def test_fast_but_real_motion_is_kept() -> None:
    sweep = repeated(neutral_face(), 20) + np.linspace(0, 1.0, 20, dtype=np.float32)[:, None, None] * np.float32(
        [1, 0, 0]
    )
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    drive(retargeter, sweep, state)
    assert state.dropped_outliers == 0


def test_time_that_stands_still_or_goes_backwards_is_survived() -> None:
    retargeter = Retargeter(sample_portrait(), MotionConfig())
    state = retargeter.start()
    for frame in (0, 1, 1, 0, 5, 3):
        motion = retargeter.step(state, pose(sample_faces()[frame], frame), frame * FRAME_US)
        assert np.isfinite(motion.landmarks).all()


# Smoothing


def test_smoothing_calms_a_trembling_face_and_keeps_speech() -> None:
    noise = np.random.default_rng(2)
    still = repeated(neutral_face(), 80)
    still = still + noise.normal(0, 0.0006, still.shape).astype(np.float32)

    def trembling(config: MotionConfig) -> float:
        landmarks = np.stack([motion.landmarks for motion in drive(Retargeter(sample_portrait(), config), still)])
        return float(np.diff(landmarks[20:], 2, axis=0).std())

    raw = MotionConfig(neutral=Neutral.FIRST, smoothing=None)
    smooth = MotionConfig(neutral=Neutral.FIRST)
    assert trembling(smooth) < 0.6 * trembling(raw)

    def speech(config: MotionConfig) -> Floats:
        motions = drive(Retargeter(sample_portrait(), config), sample_faces()[20:100])
        return np.array([lip_gaps(motion.landmarks).mean() for motion in motions])

    assert speech(smooth).std() > 0.9 * speech(raw).std()
    assert np.corrcoef(speech(smooth), speech(raw))[0, 1] > 0.95


def test_smoothing_can_be_switched_while_running() -> None:
    retargeter = Retargeter(sample_portrait(), MotionConfig(neutral=Neutral.FIRST))
    state = retargeter.start()
    drive(retargeter, sample_faces()[:20], state)
    retargeter.config = replace(retargeter.config, smoothing=None)
    motions = drive(retargeter, sample_faces()[20:40], state, start=20)
    assert np.abs(motions[-1].landmarks - portrait_of(sample_faces()[39])).max() < 1e-3
    retargeter.config = replace(retargeter.config, smoothing=SmoothingConfig())
    assert np.isfinite(drive(retargeter, sample_faces()[40:50], state, start=40)[-1].landmarks).all()


# Changes while running, and what sessions share


def test_new_gains_ease_in() -> None:
    aside = turned(neutral_face(), yaw=20)
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    drive(retargeter, neutral_face()[None], state)
    before = drive(retargeter, repeated(aside, 5), state, start=1)
    retargeter.set_gains(Gains(head=0))
    after = drive(retargeter, repeated(aside, 20), state, start=6)
    assert largest_step([before[-1], *after]) < 0.08 * width_px()
    assert measured(after[-1].landmarks).axes == pytest.approx(measured(sample_portrait()).axes, abs=1e-3)


def test_the_neutral_mode_can_be_changed_while_running() -> None:
    aside = turned(neutral_face(), yaw=20)
    retargeter = Retargeter(sample_portrait(), replace(EXACT, neutral=Neutral.ABSOLUTE))
    state = retargeter.start()
    absolute = drive(retargeter, repeated(aside, 5), state)
    retargeter.config = EXACT
    motions = drive(retargeter, repeated(aside, 20), state, start=5)
    assert measured(absolute[-1].landmarks).axes == pytest.approx(measured(aside).axes, abs=1e-3)
    assert np.abs(motions[-1].landmarks - sample_portrait()).max() < 0.01
    assert largest_step([absolute[-1], *motions]) < 0.15 * width_px()


def test_a_new_portrait_keeps_the_drivers_calibration() -> None:
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    drive(retargeter, sample_faces()[:10], state)
    neutral = state.neutral
    other = Retargeter(sample_portrait() * np.float32(1.5), EXACT)
    motion = drive(other, sample_faces()[10:11], state, start=10)[0]
    assert state.neutral is neutral
    assert np.abs(motion.landmarks - 1.5 * portrait_of(sample_faces()[10])).max() < 0.01


def test_two_interleaved_sessions_are_each_as_alone() -> None:
    retargeter = Retargeter(sample_portrait(), MotionConfig())
    clips = sample_faces()[:60], sample_faces()[200:260]
    alone = [drive(retargeter, clip) for clip in clips]
    states = [retargeter.start(), retargeter.start()]
    for frame in range(60):
        for clip, state, expected in zip(clips, states, alone, strict=True):
            motion = retargeter.step(state, pose(clip[frame], frame), frame * FRAME_US)
            assert np.array_equal(motion.landmarks, expected[frame].landmarks)


# Shoulders


def body(right: tuple[float, float], left: tuple[float, float], visibility: float = 0.9) -> Floats:
    landmarks = np.zeros((33, 4), np.float32)
    landmarks[12] = (*right, 0, visibility)
    landmarks[11] = (*left, 0, visibility)
    return landmarks


def test_shoulders_follow_a_tracked_body() -> None:
    retargeter = Retargeter(sample_portrait(), EXACT)
    state = retargeter.start()
    assert retargeter.step(state, pose(neutral_face(), 0), 0).shoulders is None
    bodies = [
        body((0.3, 0.8), (0.7, 0.8)),
        body((0.32, 0.75), (0.7, 0.85)),
        body((0.5, 0.5), (0.7, 0.8), visibility=0.1),
    ]
    seen = [
        retargeter.step(state, pose(neutral_face(), 1 + k, tracked), (1 + k) * FRAME_US).shoulders
        for k, tracked in enumerate(bodies)
    ]
    assert seen[0] == pytest.approx(np.zeros((2, 2)), abs=1e-3)
    assert seen[1] == pytest.approx(float(SCALE) * np.array([[0.02, -0.05], [0.0, 0.05]]), abs=0.05)
    assert seen[2] == pytest.approx(np.zeros((2, 2)), abs=1e-3)
