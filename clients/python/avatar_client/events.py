"""What a session says about itself besides frames."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from avatar_client.errors import AvatarError


class SessionState(StrEnum):
    """Where a session stands, as the client sees it."""

    CONNECTING = "connecting"
    """No stream yet."""
    READY = "ready"
    """Waiting for the first pose."""
    GENERATING = "generating"
    """Frames follow the driver."""
    FACE_LOST = "face_lost"
    """No face for a while; the avatar idles."""
    RECONNECTING = "reconnecting"
    """The stream broke and is being taken up again."""
    CLOSED = "closed"
    """Over."""


class CloseReason(StrEnum):
    """Why a session ended."""

    UNSPECIFIED = "unspecified"
    CLIENT = "client"
    IDLE = "idle"
    MAX_DURATION = "max_duration"
    RESUME_WINDOW = "resume_window"
    DRAIN = "drain"
    STATE_LOST = "state_lost"
    FAILED = "failed"
    """The stream broke and could not be taken up again; iterating raises the error."""


class EventKind(StrEnum):
    """What happened."""

    FACE_LOST = "face_lost"
    FACE_FOUND = "face_found"
    CALIBRATED = "calibrated"
    POSE_REJECTED = "pose_rejected"
    """The server could not use a pose; `message` says why."""
    PORTRAIT_CHANGED = "portrait_changed"
    SEVERAL_FACES = "several_faces"
    """The photo shows several faces; the largest is used."""
    READER_STALLED = "reader_stalled"
    """Frames were not taken for a while; the server waits until they are."""
    IGNORED_UNKNOWN = "ignored_unknown"
    """The server did not know a message of this client."""
    STATE_CHANGED = "state_changed"
    """`message` is the new state."""
    RECONNECTING = "reconnecting"
    """The stream broke with `error`; attempt number `attempt` follows in `delay_s`."""
    RESUMED = "resumed"
    """The stream goes on, in the same session."""
    RESTARTED = "restarted"
    """The old session was gone: a new one, with the same portrait and options, goes on."""
    GO_AWAY = "go_away"
    """The server asked to leave; the session moves by itself unless it was told to stop."""
    CLOSED = "closed"
    """Over; `message` is the reason."""
    UNKNOWN = "unknown"
    """An event of a newer server; `message` says more."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened.

    Attributes:
        kind: what happened.
        message: for people.
        error: what broke, for RECONNECTING.
        attempt: number of the next try, from 1, for RECONNECTING.
        delay_s: time until that try, for RECONNECTING. Unit: seconds.
    """

    kind: EventKind
    message: str = ""
    error: AvatarError | None = None
    attempt: int = 0
    delay_s: float = 0.0
