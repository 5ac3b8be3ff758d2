"""What a session is made of and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from avatar_client.pose import Pose


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
        idle_timeout_s: without a pose, or with a reader that stalls, for this long the session closes. Unit: seconds.
        max_duration_s: Unit: seconds.
        resume_window_s: how long a slot is kept without a stream. Unit: seconds.
        max_pose_rate_hz: poses beyond this rate are dropped. Unit: poses per second.
        reader_stall_s: without an acknowledgement for this long nothing is generated. Unit: seconds.
        takeover_s: a stream from which nothing came for this long gives way to a new one. Unit: seconds.
    """

    idle_timeout_s: float = 60.0
    max_duration_s: float = 4 * 3600.0
    resume_window_s: float = 20.0
    max_pose_rate_hz: float = 120.0
    reader_stall_s: float = 1.0
    takeover_s: float = 3.0


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
    def queue_us(self) -> int:
        """From the parsed pose to the start of the step; 0 without a new one."""
        return self.started_us - self.fresh.received_us if self.fresh else 0

    @property
    def pose_age_us(self) -> int:
        """Age of the pose shown when the step began; 0 for a new one."""
        return 0 if self.fresh or self.shown is None else self.started_us - self.shown.received_us
