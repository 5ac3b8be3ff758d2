"""Between the protocol's messages and this package's values; errors come back as the classes the server raised."""

from __future__ import annotations

from typing import Final

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import (
    ERRORS_BY_REASON,
    AuthenticationError,
    AvatarError,
    ConnectionLostError,
    InvalidInputError,
    NoCapacityError,
    ProtocolError,
    SessionBusyError,
    SessionNotFoundError,
    SessionStateLostError,
    TimeoutExceededError,
)
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE, Pose, pack, unpack

_DETAILS: Final = "grpc-status-details-bin"
_BY_CODE: Final[dict[grpc.StatusCode, type[AvatarError]]] = {
    grpc.StatusCode.UNAVAILABLE: ConnectionLostError,
    grpc.StatusCode.CANCELLED: ConnectionLostError,
    grpc.StatusCode.INTERNAL: ConnectionLostError,  # gRPC's own word for a stream that was reset
    grpc.StatusCode.DEADLINE_EXCEEDED: TimeoutExceededError,
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.PERMISSION_DENIED: AuthenticationError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: NoCapacityError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInputError,
    grpc.StatusCode.NOT_FOUND: SessionNotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: SessionBusyError,
    grpc.StatusCode.ABORTED: SessionStateLostError,
    grpc.StatusCode.FAILED_PRECONDITION: ProtocolError,
    grpc.StatusCode.UNIMPLEMENTED: ProtocolError,
}
"""For peers between client and server that know nothing of our reasons."""


def pose_to_proto(pose: Pose, seq: int) -> pb.Pose:
    """The message for `pose`; `seq` counts up from 1 within a session."""
    return pb.Pose(
        seq=seq,
        timestamp_us=pose.timestamp_us,
        face=pack(pose.face) if pose.face_present else b"",
        face_present=pose.face_present,
        face_confidence=pose.face_confidence,
        body=b"" if pose.body is None else pack(pose.body),
        hands=b"" if pose.hands is None else pack(pose.hands),
    )


def pose_from_proto(message: pb.Pose) -> Pose:
    """Inverse of `pose_to_proto`; the arrays are read-only views on the message's bytes.

    Raises:
        InvalidPoseError: wrong sizes or values out of range.
    """
    return Pose(
        timestamp_us=message.timestamp_us,
        face=unpack(message.face, "face", FACE_SHAPE) if message.face_present else np.zeros(FACE_SHAPE, np.float32),
        face_present=message.face_present,
        face_confidence=message.face_confidence,
        body=unpack(message.body, "body", BODY_SHAPE) if message.body else None,
        hands=unpack(message.hands, "hands", HANDS_SHAPE) if message.hands else None,
    )


def error_from_rpc(failure: grpc.aio.AioRpcError, target: str) -> AvatarError:
    """The error the server raised, restored from `google.rpc.ErrorInfo`; else the nearest by status code."""
    code, said = failure.code(), failure.details() or ""
    for key, value in failure.trailing_metadata() or ():
        if key == _DETAILS:
            restored = _restore(value)
            if restored is not None:
                return restored
    kind = _BY_CODE.get(code, AvatarError)
    if kind is ConnectionLostError:
        message = f"the connection to {target} broke or never came up ({said}); is `avatar serve` running there?"
    elif kind is TimeoutExceededError:
        message = f"{target} did not answer in time ({said}); check the address, or raise connect_timeout_s"
    elif code is grpc.StatusCode.UNIMPLEMENTED:
        message = f"{target} does not speak avatar.v1 ({said}); check address and versions"
    else:
        message = f"{target} answered {code.name}: {said}"
    return kind(message)


def _restore(details: bytes) -> AvatarError | None:
    status = status_pb2.Status.FromString(details)
    info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    retry_after_s: float | None = None
    field = ""
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
        elif detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
        else:
            detail.Unpack(info)
    kind = ERRORS_BY_REASON.get(info.reason)
    if kind is None:
        return None
    return kind(status.message, field=field or info.metadata.get("field", ""), retry_after_s=retry_after_s)
