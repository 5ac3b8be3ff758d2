"""Our errors as `google.rpc.Status` and as our own last word, so that every client can tell them apart."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import grpc
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import AvatarError
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN: Final = "avatar-sdk"


def to_number(error: AvatarError) -> int:
    """The number of the gRPC status code of an error."""
    return int(grpc.StatusCode[error.code].value[0])


def to_details(error: AvatarError) -> list[Any]:
    """ErrorInfo, and BadRequest or RetryInfo where they apply."""
    details: list[Any] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata={"retryable": str(error.retryable).lower()}
        )
    ]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        details.append(retry)
    return details


def to_status(error: AvatarError) -> Any:
    """The gRPC status of an error, with its details."""
    packed = []
    for detail in to_details(error):
        one = any_pb2.Any()
        one.Pack(detail)
        packed.append(one)
    return rpc_status.to_status(status_pb2.Status(code=to_number(error), message=error.message, details=packed))


def to_stream_error(error: AvatarError) -> pb.StreamError:
    """The last word of a stream on a transport without a status of its own."""
    return pb.StreamError(
        reason=error.reason,
        message=error.message,
        retryable=error.retryable,
        field=error.field,
        retry_after_s=error.retry_after_s or 0.0,
    )


async def abort(context: Any, error: AvatarError) -> NoReturn:
    """Ends the call with `error`."""
    await context.abort_with_status(to_status(error))
    raise AssertionError("abort_with_status raises")
