"""What happens when in one session, without threads, sockets or a clock of its own.

The caller says what time it is. Same poses, times and seed give the same frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from avatar_client.errors import InvalidPoseError, SessionBusyError, SessionNotFoundError
from avatar_client.pose import Pose

from avatar_sdk.motion import MotionEvent
from avatar_sdk.pacing import FrameClock, FrameClockConfig, Latest
from avatar_sdk.session.gate import PoseGate
from avatar_sdk.session.values import (
    CloseReason,
    Notice,
    NoticeKind,
    ReceivedPose,
    SessionLimits,
    SessionState,
    StepPlan,
)
from avatar_sdk.session.window import AckWindow

TOLD_EVERY_US: Final = 1_000_000
"""A client that makes the same mistake again and again hears of it once a second, with the number."""
MOST_NOTICES: Final = 32
"""Notices that wait for a client that does not read; older ones are left out."""
STALE_US: Final = 100_000
"""A pose that waited longer than this while nothing was generated is no longer what the driver does."""

_MOTION_WORDS: Final = {
    MotionEvent.FACE_LOST: "no face is seen; the avatar idles until it is back",
    MotionEvent.FACE_FOUND: "the face is back",
    MotionEvent.CALIBRATED: "the driver's neutral pose was taken",
}


@dataclass(eq=False)
class _Repeated:
    """A mistake that is told of at most once a second."""

    count: int = 0
    told_us: int | None = None


class SessionCore:
    """The rules of one session. Times are microseconds on one monotonic clock of the caller's."""

    def __init__(self, limits: SessionLimits, clock: FrameClockConfig, now_us: int) -> None:
        self.limits = limits
        self.clock = FrameClock(clock)
        self.state = SessionState.READY
        self.close_reason = CloseReason.UNSPECIFIED
        self.frames_dropped = 0
        self._poses: Latest[ReceivedPose] = Latest()
        self._poses_refused = 0
        self._gate = PoseGate(limits.max_pose_rate_hz, now_us)
        self._window = AckWindow(self.clock.interval_us)
        self._shown: ReceivedPose | None = None
        self._face_lost = False
        self._paused = False
        self._stalled = False
        self._watched = False
        self._attached = False
        self._was_attached = False
        self._created_us = now_us
        self._detached_us: int | None = now_us
        self._heard_us = now_us
        self._last_pose_us = now_us
        self._origin_us: int | None = None
        self._seq = 0
        self._notices: deque[Notice] = deque(maxlen=MOST_NOTICES)
        self._repeated: dict[NoticeKind, _Repeated] = {}

    # A stream comes and goes

    def attach(self, now_us: int, *, max_in_flight: int = 0) -> bool:
        """A stream takes the session over. Returns whether it goes on from an earlier one.

        Raises:
            SessionBusyError: another stream drives the session.
            SessionNotFoundError: the session has ended.
        """
        if self.state is SessionState.CLOSED:
            raise SessionNotFoundError(
                f"the session has ended ({self.close_reason.value}); create a new one", field="session_id"
            )
        if self._attached and now_us - self._heard_us < 1e6 * self.limits.takeover_s:
            raise SessionBusyError(
                "another stream already drives this session; close it first, or create a session of your own"
            )
        resumed, self._was_attached = self._was_attached, True
        self._attached, self._detached_us = True, None
        self._heard_us = self._last_pose_us = now_us
        self._gate = PoseGate(self.limits.max_pose_rate_hz, now_us)
        self._window = AckWindow(self.clock.interval_us, max_in_flight)
        self._paused = self._stalled = False
        self._poses.take()
        if self._origin_us is None:
            self._enter(SessionState.READY)
        else:
            self.clock.restart(now_us)
            self._enter(self._driven_state())
        return resumed

    def detach(self, now_us: int) -> None:
        """The stream is gone; the slot is kept for the resume window."""
        self._attached, self._detached_us = False, now_us
        self._enter(SessionState.RECONNECTING)

    def close(self, reason: CloseReason) -> None:
        """Ends the session. The first reason stays."""
        if self.state is not SessionState.CLOSED:
            self.state, self.close_reason = SessionState.CLOSED, reason

    def expired(self, now_us: int) -> CloseReason | None:
        """The limit that the session has reached, if any."""
        limits = self.limits
        if now_us - self._created_us >= 1e6 * limits.max_duration_s:
            return CloseReason.MAX_DURATION
        if self._detached_us is not None and now_us - self._detached_us >= 1e6 * limits.resume_window_s:
            return CloseReason.RESUME_WINDOW
        if self._attached and not self._paused:
            idle_us = max(now_us - self._last_pose_us, 0 if self._watched else self._window.full_us(now_us))
            if idle_us >= 1e6 * limits.idle_timeout_s:
                return CloseReason.IDLE
        return None

    # What the client says

    def heard(self, now_us: int) -> None:
        """Anything at all came from the client."""
        self._heard_us = now_us

    def receive_pose(self, seq: int, pose: Pose, now_us: int) -> None:
        """A pose was parsed at `now_us`; the newest waits for the next step.

        One that is out of order or too much is left out, counted and told of; the stream goes on.
        """
        self._last_pose_us = now_us
        try:
            self._gate.admit(seq, pose.timestamp_us, now_us)
        except InvalidPoseError as error:
            self.reject_pose(error, now_us)
            return
        self.clock.pose_arrived(now_us)
        self._poses.put(ReceivedPose(seq, pose, now_us))

    def reject_pose(self, error: InvalidPoseError, now_us: int) -> None:
        """A pose cannot be used."""
        self._poses_refused += 1
        self._last_pose_us = now_us
        self.notify_rarely(NoticeKind.POSE_REJECTED, error.message, now_us)

    def pose_superseded(self) -> None:
        """A pose was left out before it was known: a newer picture of the driver replaced it."""
        self._poses_refused += 1

    def acknowledge(self, frame_seq: int, now_us: int) -> None:
        """Frames up to `frame_seq` have been shown or dropped by the client."""
        self._window.acknowledge(frame_seq)
        if self._stalled and self._window.open:
            self._stalled = False
            self._go_on(now_us)

    def set_round_trip(self, rtt_us: int) -> None:
        """The client measured its round trip; the window follows."""
        self._window.set_round_trip(rtt_us)

    def pause(self, paused: bool, now_us: int) -> None:
        """Stops or goes on generating."""
        self._paused = paused
        self._last_pose_us = now_us
        self._go_on(now_us)

    def watched(self, watched: bool, now_us: int) -> None:
        """Whether somebody beside the stream looks at the frames: they are made for him though the stream stalls."""
        self._watched = watched
        if watched and self._stalled:
            self._stalled = False
            self._go_on(now_us)

    def notify(self, kind: NoticeKind, message: str) -> None:
        """Tells the client something."""
        self._notices.append(Notice(kind, message))

    def notify_rarely(self, kind: NoticeKind, message: str, now_us: int) -> None:
        """Tells the client of a mistake that it may be making all the time."""
        repeated = self._repeated.setdefault(kind, _Repeated())
        repeated.count += 1
        if repeated.told_us is None or now_us - repeated.told_us >= TOLD_EVERY_US:
            repeated.told_us = now_us
            self.notify(kind, f"{message} ({repeated.count} so far)" if repeated.count > 1 else message)

    # What to do next

    def due_us(self) -> int | None:
        """When the next step is due; None = not before something arrives."""
        if not self._attached or self._paused or self._stalled or self.state is SessionState.CLOSED:
            return None
        return self.clock.due_us(waiting=bool(self._poses))

    def begin_step(self, now_us: int) -> StepPlan | None:
        """The step to make at `now_us`; None when none is due."""
        due_us = self.due_us()
        if due_us is None or now_us < due_us or self._stalls(now_us):
            return None
        fresh = self._poses.take()
        if fresh is not None:
            self._shown = fresh
        if self._origin_us is None:
            self._origin_us = now_us
            self._enter(SessionState.GENERATING)
        self.clock.started(now_us)
        self._seq += 1
        return StepPlan(self._seq, now_us - self._origin_us, now_us, fresh, self._shown)

    def motion_events(self, events: list[MotionEvent]) -> None:
        """What the motion noticed during a step."""
        for event in events:
            self.notify(NoticeKind(event.value), _MOTION_WORDS[event])
            if event is not MotionEvent.CALIBRATED:
                self._face_lost = event is MotionEvent.FACE_LOST
                if self._attached:
                    self._enter(self._driven_state())

    def may_send(self) -> bool:
        """Whether a finished frame still has room in the window; if not it is dropped before it is encoded."""
        if self._attached and self._window.open:
            return True
        self.frames_dropped += 1
        return False

    def sent(self, frame_seq: int, now_us: int) -> None:
        """A frame goes out and waits for its acknowledgement."""
        self._window.sent(frame_seq, now_us)

    @property
    def poses_dropped(self) -> int:
        """Poses that never drove a frame: superseded, too many or rejected."""
        return self._poses.dropped + self._poses_refused

    def take_notice(self) -> Notice | None:
        """What the client shall be told next, once."""
        return self._notices.popleft() if self._notices else None

    def _enter(self, state: SessionState) -> None:
        if self.state is not SessionState.CLOSED:
            self.state = state

    def _driven_state(self) -> SessionState:
        return SessionState.FACE_LOST if self._face_lost else SessionState.GENERATING

    def _go_on(self, now_us: int) -> None:
        """After a time without steps: what the driver did meanwhile is not shown, only what it does now."""
        waiting = self._poses.take()
        if waiting is not None and now_us - waiting.received_us <= STALE_US:
            self._poses.put(waiting)
        elif waiting is not None:
            self._poses_refused += 1
        if self._origin_us is not None:
            self.clock.restart(now_us)
        if self._poses:
            self.clock.pose_arrived(now_us)

    def _stalls(self, now_us: int) -> bool:
        """Whether the client has stopped reading for so long that nothing is made for it."""
        silent_us = 0 if self._watched else self._window.full_us(now_us)
        if silent_us < 1e6 * self.limits.reader_stall_s:
            return False
        self._stalled = True
        self.notify(
            NoticeKind.READER_STALLED,
            f"no frame was acknowledged for {silent_us / 1e6:.1f} s; generating goes on with the next acknowledgement",
        )
        return True
