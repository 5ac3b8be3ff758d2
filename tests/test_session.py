"""The rules of a session, in a time of the test's own."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from avatar_client.errors import InvalidPoseError, SessionBusyError, SessionNotFoundError
from avatar_client.pose import Pose
from service import POSES, photo

from avatar_sdk.encode import Encoding, make_encoder
from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.motion import MotionEvent
from avatar_sdk.pacing import FrameClockConfig
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.session import CloseReason, NoticeKind, SessionCore, SessionLimits, SessionState, StepPlan
from avatar_sdk.session.gate import PoseGate
from avatar_sdk.session.window import AckWindow

S = 1_000_000
INTERVAL_US = 40_000


def session(**limits: float) -> SessionCore:
    core = SessionCore(SessionLimits(**limits), FrameClockConfig(), 0)
    core.attach(0)
    return core


def give_pose(core: SessionCore, seq: int, now_us: int) -> None:
    core.receive_pose(seq, replace(POSES[seq % len(POSES)], timestamp_us=seq * INTERVAL_US), now_us)


def step(core: SessionCore, now_us: int) -> StepPlan:
    plan = core.begin_step(now_us)
    assert plan is not None
    return plan


def kinds(core: SessionCore) -> list[NoticeKind]:
    found = []
    while (notice := core.take_notice()) is not None:
        found.append(notice.kind)
    return found


def test_nothing_is_due_before_the_first_pose_and_then_at_once() -> None:
    core = session()
    assert core.state is SessionState.READY
    assert core.due_us() is None
    give_pose(core, 1, 5 * S)
    plan = step(core, 5 * S)
    assert (plan.seq, plan.time_us, plan.queue_us, plan.pose_age_us) == (1, 0, 0, 0)
    assert core.state is SessionState.GENERATING
    assert core.begin_step(5 * S) is None


def test_the_newest_pose_wins_and_the_others_are_counted() -> None:
    core = session()
    give_pose(core, 1, 0)
    step(core, 0)
    for k in range(2, 5):
        give_pose(core, k, k * 1000)
    plan = step(core, 50_000)
    assert plan.fresh is not None
    assert plan.fresh.seq == 4
    assert plan.queue_us == 46_000
    assert core.poses_dropped == 2


def test_a_held_pose_is_told_apart_by_its_age() -> None:
    core = session()
    give_pose(core, 1, 0)
    step(core, 0)
    plan = step(core, 80_000)
    assert plan.fresh is None
    assert plan.shown is not None
    assert (plan.shown.seq, plan.pose_age_us, plan.queue_us) == (1, 80_000, 0)


def test_a_full_window_drops_frames_and_an_acknowledgement_opens_it() -> None:
    core = session()
    core.sent(1, 0)
    assert core.may_send()
    core.sent(2, 0)
    assert not core.may_send()
    assert core.frames_dropped == 1
    core.acknowledge(1, 0)
    assert core.may_send()


def test_a_reader_that_stalls_stops_the_work_and_goes_on_with_what_the_driver_does_now() -> None:
    core = session(reader_stall_s=1.0)
    give_pose(core, 1, 0)
    step(core, 0)
    core.sent(1, 0)
    core.sent(2, 0)
    give_pose(core, 2, S)
    assert core.begin_step(2 * S) is None
    assert core.due_us() is None
    assert kinds(core) == [NoticeKind.READER_STALLED]
    core.acknowledge(1, 5 * S)
    assert core.begin_step(5 * S) is None  # pose 2 is four seconds old
    give_pose(core, 3, 5 * S + 1)
    plan = step(core, 5 * S + 1)
    assert plan.fresh is not None
    assert plan.fresh.seq == 3


def test_a_pause_long_before_does_not_count_as_a_stall() -> None:
    core = session(reader_stall_s=1.0)
    give_pose(core, 1, 0)
    step(core, 0)
    core.pause(True, 0)
    assert core.due_us() is None
    core.pause(False, 60 * S)
    core.sent(1, 60 * S)
    core.sent(2, 60 * S)
    give_pose(core, 2, 60 * S)
    assert step(core, 60 * S).fresh is not None


def test_after_a_pause_frames_go_on_even_without_poses() -> None:
    core = session()
    give_pose(core, 1, 0)
    step(core, 0)
    core.pause(True, 0)
    core.pause(False, S)
    due = core.due_us()
    assert due is not None
    assert step(core, due).fresh is None


@pytest.mark.parametrize(
    ("rtt_us", "fixed", "size"), [(0, 0, 2), (1000, 0, 2), (150_000, 0, 5), (2 * S, 0, 8), (150_000, 1, 1), (0, 99, 8)]
)
def test_the_window_follows_the_round_trip_within_bounds(rtt_us: int, fixed: int, size: int) -> None:
    window = AckWindow(41_667, fixed)
    window.set_round_trip(rtt_us)
    assert window.size == size


def test_the_gate_names_what_is_out_of_order_and_believes_a_clock_that_was_set_back() -> None:
    gate = PoseGate(100.0, 0)
    gate.admit(5, 10**12, 0)
    with pytest.raises(InvalidPoseError, match="seq is 5 after 5"):
        gate.admit(5, 10**12 + 1, 0)
    with pytest.raises(InvalidPoseError, match=r"timestamp_us is 1 after 10\d+"):
        gate.admit(6, 1, 0)
    for k in range(2, 10):
        with pytest.raises(InvalidPoseError):
            gate.admit(6 + k, k, k * 10_000)
    gate.admit(20, 11, 110_000)
    gate.admit(21, 12, 120_000)


def test_the_gate_lets_bursts_pass_and_bounds_the_rate() -> None:
    gate = PoseGate(100.0, 0)
    passed = 0
    for k in range(1, 2001):
        try:
            gate.admit(k, k, k * 2000)
        except InvalidPoseError:
            continue
        passed += 1
    assert passed == pytest.approx(4 * 100 + 10, abs=3)


def test_the_same_mistake_is_told_once_a_second_with_its_number() -> None:
    core = session()
    for k in range(30):
        core.reject_pose(InvalidPoseError("bad"), k * S // 10)
    messages = []
    while (notice := core.take_notice()) is not None:
        messages.append(notice.message)
    assert messages == ["bad", "bad (11 so far)", "bad (21 so far)"]
    assert core.poses_dropped == 30


def test_notices_for_a_client_that_does_not_read_are_bounded() -> None:
    core = session()
    for _ in range(1000):
        core.notify(NoticeKind.CALIBRATED, "")
    assert len(kinds(core)) <= 32


def test_limits_end_a_session_with_their_reason() -> None:
    core = session(idle_timeout_s=10, max_duration_s=100, resume_window_s=5)
    give_pose(core, 1, 2 * S)
    assert core.expired(11 * S) is None
    assert core.expired(12 * S) is CloseReason.IDLE
    core.pause(True, 12 * S)
    assert core.expired(60 * S) is None
    assert core.expired(100 * S) is CloseReason.MAX_DURATION
    core.detach(60 * S)
    assert core.expired(64 * S) is None
    assert core.expired(65 * S) is CloseReason.RESUME_WINDOW


def test_a_session_nobody_streams_to_ends_with_the_resume_window() -> None:
    core = SessionCore(SessionLimits(resume_window_s=5), FrameClockConfig(), 0)
    assert core.expired(5 * S) is CloseReason.RESUME_WINDOW


def test_a_reader_that_never_comes_back_ends_the_session() -> None:
    core = session(idle_timeout_s=10)
    core.sent(1, 0)
    core.sent(2, 0)
    give_pose(core, 1, 10 * S)
    assert core.expired(10 * S) is CloseReason.IDLE


def test_a_second_stream_is_refused_until_the_first_falls_silent_or_leaves() -> None:
    core = session(takeover_s=3)
    core.heard(S)
    with pytest.raises(SessionBusyError):
        core.attach(3 * S)
    assert core.attach(4 * S)
    core.detach(4 * S)
    assert core.state is SessionState.RECONNECTING
    assert core.attach(4 * S)


def test_a_new_stream_may_count_from_one_again() -> None:
    core = session()
    give_pose(core, 50, 0)
    step(core, 0)
    core.detach(S)
    core.attach(2 * S)
    assert core.state is SessionState.GENERATING
    give_pose(core, 1, 2 * S)
    assert step(core, 2 * S).seq == 2


def test_a_closed_session_is_not_entered_and_keeps_its_first_reason() -> None:
    core = session()
    core.close(CloseReason.IDLE)
    core.close(CloseReason.CLIENT)
    core.detach(0)
    assert (core.state, core.close_reason) == (SessionState.CLOSED, CloseReason.IDLE)
    with pytest.raises(SessionNotFoundError, match="idle"):
        core.attach(0)


def test_a_lost_face_is_a_state_and_survives_a_reconnection() -> None:
    core = session()
    give_pose(core, 1, 0)
    step(core, 0)
    core.motion_events([MotionEvent.FACE_LOST])
    assert core.state is SessionState.FACE_LOST
    core.detach(0)
    core.attach(0)
    assert core.state is SessionState.FACE_LOST
    core.motion_events([MotionEvent.FACE_FOUND, MotionEvent.CALIBRATED])
    assert core.state is SessionState.GENERATING
    assert kinds(core) == [NoticeKind.FACE_LOST, NoticeKind.FACE_FOUND, NoticeKind.CALIBRATED]


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return load_portrait(photo(), PortraitConfig(width_px=128, height_px=128))


def play(portrait: Portrait, arrivals: list[tuple[int, Pose]], seed: int) -> list[bytes]:
    """The frames of a session whose poses arrive at the given times, with the machine infinitely fast."""
    engine = Engine.load(EngineConfig(model="warp"))
    avatar = engine.open(portrait, seed=seed)
    core, encoder = session(), make_encoder(Encoding.RGB)
    frames, waiting = [], list(enumerate(arrivals, 1))
    while len(frames) < 40:
        due = core.due_us()
        if waiting and (due is None or waiting[0][1][0] <= due):
            seq, (now, pose) = waiting.pop(0)
            core.receive_pose(seq, pose, now)
            continue
        assert due is not None
        plan = step(core, due)
        picture = engine.step(avatar, plan.fresh.pose if plan.fresh else None, plan.time_us)
        core.motion_events(avatar.motion.take_events())
        assert core.may_send()
        core.sent(plan.seq, due)
        core.acknowledge(plan.seq, due)
        frames.append(encoder.encode(picture.image).data)
    return frames


def test_same_poses_times_and_seed_give_the_same_bytes(portrait: Portrait) -> None:
    jitter = np.random.default_rng(1).integers(0, 9000, 30)
    arrivals = [(int(k * INTERVAL_US + jitter[k]), POSES[k]) for k in range(30)]  # then the driver falls silent
    first, second = (play(portrait, arrivals, seed=7) for _ in range(2))
    assert [hashlib.sha256(frame).digest() for frame in first] == [hashlib.sha256(frame).digest() for frame in second]
    assert len(set(first)) > 20
