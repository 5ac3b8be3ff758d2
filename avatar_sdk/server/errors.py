"""Our errors as `google.rpc.Status`, so that every client can tell them apart."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from avatar_client.errors import AvatarError
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "avatar-sdk"


def to_status(error: AvatarError) -> Any:
    """The gRPC status of an error, with ErrorInfo, and BadRequest or RetryInfo where they apply."""
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
    packed = []
    for detail in details:
        one = any_pb2.Any()
        one.Pack(detail)
        packed.append(one)
    code = grpc.StatusCode[error.code].value[0]
    return rpc_status.to_status(status_pb2.Status(code=code, message=error.message, details=packed))


async def abort(context: Any, error: AvatarError) -> NoReturn:
    """Ends the call with `error`."""
    await context.abort_with_status(to_status(error))
    raise AssertionError("abort_with_status raises")
