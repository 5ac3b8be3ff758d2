"""Errors over HTTP as the Connect protocol spells them, and request bodies within their bounds."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from avatar_client.errors import AvatarError, InvalidInputError, TimeoutExceededError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from avatar_sdk.server.errors import to_details
from avatar_sdk.server.metrics import Metrics

log = structlog.get_logger(__name__)

STATUSES: Final = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}
"""gRPC code → HTTP status, as the Connect protocol pairs them."""


def error_answer(error: AvatarError, status: int | None = None) -> JSONResponse:
    """`{"code", "message", "details"}`; `status` replaces the usual HTTP status of the code."""
    details = [
        {
            "type": detail.DESCRIPTOR.full_name,
            "value": base64.b64encode(detail.SerializeToString()).rstrip(b"=").decode(),
        }
        for detail in to_details(error)
    ]
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        {"code": error.code.lower(), "message": error.message, "details": details},
        status or STATUSES[error.code],
        headers,
    )


def typed(metrics: Metrics, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Any]]:
    """A route whose errors become `error_answer`s."""

    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except AvatarError as error:
            metrics.error(error.reason)
            return error_answer(error)
        except ClientDisconnect:
            return Response(status_code=STATUSES["CANCELLED"])
        except Exception as error:  # one request must not take the connection with it
            log.error("a request failed", path=request.url.path, exc_info=error)
            metrics.error(AvatarError.reason)
            return error_answer(AvatarError(f"the server failed ({type(error).__name__}); its log says more"))

    return guarded


async def read_body(request: Request, most_bytes: int, patience_s: float) -> bytes:
    """The whole body.

    Raises:
        InvalidInputError: it has more than `most_bytes`.
        TimeoutExceededError: it did not come within `patience_s` seconds.
        ClientDisconnect: the client left.
    """
    told = request.headers.get("content-length", "0")
    parts, size = [], 0
    try:
        async with asyncio.timeout(patience_s):
            if not told.isdecimal() or int(told) > most_bytes:
                raise _too_large(told, most_bytes)
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise _too_large(str(size), most_bytes)
                parts.append(part)
    except TimeoutError as error:
        raise TimeoutExceededError(
            f"the request's body did not come within {patience_s:g} s; only {size} bytes did"
        ) from error
    return b"".join(parts)


def _too_large(size: str, most_bytes: int) -> InvalidInputError:
    return InvalidInputError(f"the request's body has {size} bytes; at most {most_bytes} are allowed", field="message")
