"""What happens when in one session, without threads, sockets or a clock of its own.

The caller says what time it is. Same poses, times and seed give the same frames.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from avatar_client.errors import InvalidPoseError, SessionBusyError
from avatar_client.pose import Pose

from avatar_sdk.motion import MotionEvent
from avatar_sdk.pacing import FrameClock, FrameClockConfig, Latest

MOST_IN_FLIGHT: Final = 8
FEWEST_IN_FLIGHT: Final = 2
REJECTIONS_TOLD_EVERY_US: Final = 1_000_000
"""A client that sends nothing but bad poses hears of it once a second, with the number."""


class SessionState(Enum):
    """Where a session stands."""

    READY = "ready"
    GENERATING = "generating"
    FACE_LOST = "face_lost"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


class CloseReason(Enum):
    """Why a session ended."""

    UNSPECIFIED = "unspecified"
    CLIENT = "client"
    IDLE = "idle"
    MAX_DURATION = "max_duration"
    RESUME_WINDOW = "resume_window"
    DRAIN = "drain"
    STATE_LOST = "state_lost"


class NoticeKind(Enum):
    """What a client is told beside frames."""

    FACE_LOST = "face_lost"
    FACE_FOUND = "face_found"
    CALIBRATED = "calibrated"
    POSE_REJECTED = "pose_rejected"
    PORTRAIT_CHANGED = "portrait_changed"
    SEVERAL_FACES = "several_faces"
    READER_STALLED = "reader_stalled"
    IGNORED_UNKNOWN = "ignored_unknown"


@dataclass(frozen=True)
class Notice:
    """Something a client is told."""

    kind: NoticeKind
    message: str


@dataclass(frozen=True)
class SessionLimits:
    """What a session may do.

    Attributes:
        idle_timeout_s: without a pose for this long the session closes. Unit: seconds.
        max_duration_s: Unit: seconds.
        resume_window_s: how long a slot is kept without a stream. Unit: seconds.
        max_pose_rate_hz: poses beyond this rate are dropped. Unit: poses per second.
        reader_stall_s: without an acknowledgement for this long nothing is generated. Unit: seconds.
    """

    idle_timeout_s: float = 60.0
    max_duration_s: float = 4 * 3600.0
    resume_window_s: float = 20.0
    max_pose_rate_hz: float = 120.0
    reader_stall_s: float = 1.0


@dataclass(frozen=True)
class ReceivedPose:
    """A pose and when it was parsed."""

    seq: int
    pose: Pose
    received_us: int


@dataclass(frozen=True)
class StepPlan:
    """One step to make now.

    Attributes:
        seq: number of the frame, from 1.
        time_us: of the frame, since the session's first step.
        started_us: when the step began, on the caller's clock.
        fresh: the new pose, or None when the last one is held or nobody is there.
        shown: the newest pose so far, whether new or held; None before the first.
    """

    seq: int
    time_us: int
    started_us: int
    fresh: ReceivedPose | None
    shown: ReceivedPose | None

    @property
    def pose_age_us(self) -> int:
        """Age of the pose shown when the step began; 0 for a new one."""
        return 0 if self.fresh or self.shown is None else self.started_us - self.shown.received_us


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
        self._shown: ReceivedPose | None = None
        self._paused = False
        self._attached = False
        self._was_attached = False
        self._created_us = now_us
        self._origin_us: int | None = None
        self._last_pose_us = now_us
        self._detached_us: int | None = now_us
        self._seq = 0
        self._pose_seq = 0
        self._pose_timestamp_us = -1
        self._pose_allowance = 1.0
        self._allowance_us = now_us
        self._sent: deque[int] = deque()
        self._acknowledged_us = now_us
        self._stalled = False
        self._window = FEWEST_IN_FLIGHT
        self._fixed_window = 0
        self._notices: list[Notice] = []
        self._rejected = 0
        self._rejection_told_us: int | None = None

    # A stream comes and goes

    def attach(self, now_us: int, *, max_in_flight: int = 0) -> bool:
        """A stream takes the session over. Returns whether it goes on from an earlier one.

        Raises:
            SessionBusyError: another stream drives the session.
        """
        if self._attached:
            raise SessionBusyError(
                "another stream already drives this session; close it first, or create a session of your own"
            )
        resumed, self._was_attached = self._was_attached, True
        self._attached, self._detached_us = True, None
        self._sent.clear()
        self._acknowledged_us, self._stalled = now_us, False
        self._fixed_window = min(max_in_flight, MOST_IN_FLIGHT)
        self._last_pose_us = now_us
        self._poses.take()
        if self.state is SessionState.RECONNECTING:
            self.state = SessionState.GENERATING if self._shown else SessionState.READY
        return resumed

    def detach(self, now_us: int) -> None:
        """The stream is gone; the slot is kept for the resume window."""
        self._attached, self._detached_us = False, now_us
        if self.state is not SessionState.CLOSED:
            self.state = SessionState.RECONNECTING

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
        if self._attached and not self._paused and now_us - self._last_pose_us >= 1e6 * limits.idle_timeout_s:
            return CloseReason.IDLE
        return None

    # What the client says

    def receive_pose(self, seq: int, pose: Pose, now_us: int) -> None:
        """A pose was parsed at `now_us`; the newest waits for the next step.

        One that is out of order, too early or too frequent is left out, counted and told of; the stream goes on.
        """
        if seq <= self._pose_seq:
            self.reject_pose(f"pose.seq is {seq} after {self._pose_seq}; it must count up", now_us)
            return
        if pose.timestamp_us <= self._pose_timestamp_us:
            self.reject_pose(
                f"pose.timestamp_us is {pose.timestamp_us} after {self._pose_timestamp_us}; time must go forward",
                now_us,
            )
            return
        self._last_pose_us = now_us
        rate_hz = self.limits.max_pose_rate_hz
        burst = max(1.0, rate_hz / 10)
        self._pose_allowance = min(burst, self._pose_allowance + (now_us - self._allowance_us) * rate_hz / 1e6)
        self._allowance_us = now_us
        if self._pose_allowance < 1:
            self._poses_refused += 1
            return
        self._pose_allowance -= 1
        self._pose_seq, self._pose_timestamp_us = seq, pose.timestamp_us
        self.clock.pose_arrived(now_us)
        self._poses.put(ReceivedPose(seq, pose, now_us))

    def reject_pose(self, why: str | InvalidPoseError, now_us: int) -> None:
        """A pose cannot be used; says so at most once a second."""
        self._poses_refused += 1
        self._rejected += 1
        self._last_pose_us = now_us
        told_us = self._rejection_told_us
        if told_us is None or now_us - told_us >= REJECTIONS_TOLD_EVERY_US:
            more = f" ({self._rejected} poses rejected)" if self._rejected > 1 else ""
            self._notices.append(Notice(NoticeKind.POSE_REJECTED, f"{why}{more}"))
            self._rejection_told_us = now_us

    def acknowledge(self, frame_seq: int, now_us: int) -> None:
        """Frames up to `frame_seq` have been shown or dropped by the client."""
        while self._sent and self._sent[0] <= frame_seq:
            self._sent.popleft()
        self._acknowledged_us = now_us
        if self._stalled:
            self._stalled = False
            self.clock.restart()

    def set_round_trip(self, rtt_us: int) -> None:
        """The client measured its round trip; the window follows."""
        wanted = 1 + math.ceil(rtt_us / self.clock.interval_us)
        self._window = max(FEWEST_IN_FLIGHT, min(wanted, MOST_IN_FLIGHT))

    def pause(self, paused: bool, now_us: int) -> None:
        """Stops or goes on generating."""
        self._paused = paused
        self._last_pose_us = now_us
        self.clock.restart()

    def notify(self, kind: NoticeKind, message: str) -> None:
        """Tells the client something."""
        self._notices.append(Notice(kind, message))

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
        self.clock.started(now_us)
        if self.state is SessionState.READY:
            self.state = SessionState.GENERATING
        self._seq += 1
        return StepPlan(self._seq, now_us - self._origin_us, now_us, fresh, self._shown)

    def motion_events(self, events: list[MotionEvent]) -> None:
        """What the motion noticed during a step."""
        for event in events:
            self._notices.append(Notice(NoticeKind(event.value), _MOTION_WORDS[event]))
            if event is MotionEvent.FACE_LOST:
                self.state = SessionState.FACE_LOST
            elif event is MotionEvent.FACE_FOUND:
                self.state = SessionState.GENERATING

    def may_send(self) -> bool:
        """Whether a finished frame still has room in the window; if not it is dropped before it is encoded."""
        if len(self._sent) < (self._fixed_window or self._window):
            return True
        self.frames_dropped += 1
        return False

    def sent(self, frame_seq: int) -> None:
        """A frame goes out and waits for its acknowledgement."""
        self._sent.append(frame_seq)

    @property
    def poses_dropped(self) -> int:
        """Poses that never drove a frame: superseded, too many or rejected."""
        return self._poses.dropped + self._poses_refused

    def take_notices(self) -> list[Notice]:
        """What the client shall be told, oldest first, once."""
        notices, self._notices = self._notices, []
        return notices

    def _stalls(self, now_us: int) -> bool:
        """Whether the client has stopped reading for so long that nothing is made for it."""
        full = len(self._sent) >= (self._fixed_window or self._window)
        if full and now_us - max(self._acknowledged_us, self._created_us) >= 1e6 * self.limits.reader_stall_s:
            self._stalled = True
            self._notices.append(
                Notice(NoticeKind.READER_STALLED, "no frame was acknowledged; generating goes on with the next one")
            )
        return self._stalled


_MOTION_WORDS: Final = {
    MotionEvent.FACE_LOST: "no face is seen; the avatar idles until it is back",
    MotionEvent.FACE_FOUND: "the face is back",
    MotionEvent.CALIBRATED: "the driver's neutral pose was taken",
}
