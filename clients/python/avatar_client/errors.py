"""The errors of avatar-sdk, shared by client and service.

AvatarError                     base: `code`, `retryable`, `message` with the way out
├── InvalidInputError           something the caller passed is wrong           INVALID_ARGUMENT
│   ├── InvalidPortraitError        the image cannot become a portrait
│   ├── InvalidPoseError            a pose cannot be used
│   ├── InvalidVideoError           a video or `.poses` file cannot be read
│   └── InvalidConfigError          an option or checkpoint does not fit
├── ProtocolError               messages in the wrong order or of the wrong kind FAILED_PRECONDITION
├── AuthenticationError         token missing or wrong                          UNAUTHENTICATED
├── SessionNotFoundError        the session does not exist or has ended         NOT_FOUND
├── SessionBusyError            another stream already drives this session      ALREADY_EXISTS
├── NoCapacityError             every slot is taken                   retryable RESOURCE_EXHAUSTED
├── SessionStateLostError       a step failed; the stream cannot go on          ABORTED
├── ServerDrainingError         the server is shutting down           retryable UNAVAILABLE
├── ConnectionLostError         the transport broke or never came up  retryable UNAVAILABLE
├── TimeoutExceededError        nothing answered in time              retryable DEADLINE_EXCEEDED
├── CameraError                 the camera is missing, taken or silent          FAILED_PRECONDITION
└── MissingDependencyError      an optional package is not installed            FAILED_PRECONDITION
"""

from __future__ import annotations

from typing import ClassVar


class AvatarError(Exception):
    """Base of every error raised on purpose by avatar-sdk.

    Attributes:
        reason: upper-case word that travels in `google.rpc.ErrorInfo.reason` and names this class.
        code: name of the gRPC status code this error becomes on the wire.
        retryable: whether the same call can succeed later without a change by the caller.
        retry_after_s: when known, how long to wait before the next try. Unit: seconds.
        field: the request field at fault, in proto spelling, or "".
    """

    reason: ClassVar[str] = "INTERNAL"
    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidInputError(AvatarError):
    """Something the caller passed is wrong."""

    reason = "INVALID_INPUT"
    code = "INVALID_ARGUMENT"


class InvalidPortraitError(InvalidInputError):
    """The image cannot become a portrait."""

    reason = "INVALID_PORTRAIT"


class InvalidPoseError(InvalidInputError):
    """A pose cannot be used."""

    reason = "INVALID_POSE"


class InvalidVideoError(InvalidInputError):
    """A video or `.poses` file cannot be read."""

    reason = "INVALID_VIDEO"


class InvalidConfigError(InvalidInputError):
    """An option or checkpoint does not fit."""

    reason = "INVALID_CONFIG"


class ProtocolError(AvatarError):
    """Messages arrived in the wrong order or of the wrong kind."""

    reason = "PROTOCOL"
    code = "FAILED_PRECONDITION"


class AuthenticationError(AvatarError):
    """The token is missing or wrong."""

    reason = "UNAUTHENTICATED"
    code = "UNAUTHENTICATED"


class SessionNotFoundError(AvatarError):
    """The session does not exist or has ended."""

    reason = "SESSION_NOT_FOUND"
    code = "NOT_FOUND"


class SessionBusyError(AvatarError):
    """Another stream already drives this session."""

    reason = "SESSION_BUSY"
    code = "ALREADY_EXISTS"


class NoCapacityError(AvatarError):
    """Every slot of the server is taken."""

    reason = "NO_CAPACITY"
    code = "RESOURCE_EXHAUSTED"
    retryable = True


class SessionStateLostError(AvatarError):
    """A step failed, so the stream's state cannot be trusted any more; start a new session."""

    reason = "SESSION_STATE_LOST"
    code = "ABORTED"


class ServerDrainingError(AvatarError):
    """The server is shutting down and takes no new work."""

    reason = "SERVER_DRAINING"
    code = "UNAVAILABLE"
    retryable = True


class ConnectionLostError(AvatarError):
    """The transport broke or never came up."""

    reason = "CONNECTION_LOST"
    code = "UNAVAILABLE"
    retryable = True


class TimeoutExceededError(AvatarError):
    """Nothing answered in time."""

    reason = "TIMEOUT"
    code = "DEADLINE_EXCEEDED"
    retryable = True


class CameraError(AvatarError):
    """The camera is missing, taken or silent."""

    reason = "CAMERA"
    code = "FAILED_PRECONDITION"


class MissingDependencyError(AvatarError):
    """An optional package is not installed; the message says which extra brings it."""

    reason = "MISSING_DEPENDENCY"
    code = "FAILED_PRECONDITION"


def _tree(root: type[AvatarError]) -> dict[str, type[AvatarError]]:
    found = {root.reason: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


ERRORS_BY_REASON: dict[str, type[AvatarError]] = _tree(AvatarError)
"""`reason` → class, so that a client raises what the server raised."""
