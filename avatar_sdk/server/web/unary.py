"""The unary calls over HTTP, in the unary form of the Connect protocol, so that any Connect client can make them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import InvalidInputError, NoCapacityError, TimeoutExceededError
from google.protobuf.message import DecodeError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from avatar_sdk.server.calls import Calls
from avatar_sdk.server.config import MAX_MESSAGE_BYTES
from avatar_sdk.server.web.answers import error_answer, read_body, typed
from avatar_sdk.server.web.service import WebService

PROTO: Final = "application/proto"
CALLS: Final = {
    "GetServerInfo": (pb.GetServerInfoRequest, Calls.get_server_info),
    "CreateSession": (pb.CreateSessionRequest, Calls.create_session),
    "UpdateSession": (pb.UpdateSessionRequest, Calls.update_session),
    "DeleteSession": (pb.DeleteSessionRequest, Calls.delete_session),
}
BY_RESUME_TOKEN: Final = frozenset({"UpdateSession", "DeleteSession"})
"""Calls that the session's own token opens."""
BUSY_S: Final = 1.0
MOST_TIMEOUT_DIGITS: Final = 10
"""As the Connect protocol has it."""


class UnaryCalls:
    """Answers `POST /avatar.v1.AvatarService/…`."""

    def __init__(self, service: WebService) -> None:
        self._service = service
        self._limits = service.calls.config.web_limits
        self._uploads = 0

    async def answer(self, request: Request) -> Response:
        """One call: a protobuf message in, one out.

        Raises:
            AvatarError: whatever the call raises.
        """
        name = request.path_params["call"]
        if name not in CALLS:
            wrong = InvalidInputError(f"there is no call {name!r}; there are {', '.join(CALLS)}, and /v1/stream")
            return error_answer(wrong, 404)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = request.headers.get("content-encoding", "identity").lower()
        if kind != PROTO or encoding != "identity":
            wrong = InvalidInputError(
                f"the body is {kind or 'of no type'}, encoding {encoding}; it must be {PROTO}, not compressed "
                "(a Connect client: useBinaryFormat)"
            )
            answer = error_answer(wrong, 415)
            answer.headers["Accept-Post"] = PROTO
            return answer
        if name in BY_RESUME_TOKEN:
            return await self._call(name, request)
        with self._service.tokens.admit(request.headers.get("authorization", ""), name):
            return await self._call(name, request)

    async def _call(self, name: str, request: Request) -> Response:
        message, call = CALLS[name]
        with self._upload():
            body = await read_body(request, MAX_MESSAGE_BYTES, self._limits.body_timeout_s)
        try:
            parsed: Any = message.FromString(body)
        except DecodeError as error:
            raise InvalidInputError(f"the body is no {name}Request: {error}", field="message") from error
        patience_s = _patience_s(request.headers.get("connect-timeout-ms", ""))
        try:
            async with asyncio.timeout(patience_s):
                answer: Any = await call(self._service.calls, parsed)
        except TimeoutError as error:
            raise TimeoutExceededError(
                f"{name} took longer than the {patience_s:g} s that the client gave it"
            ) from error
        return Response(answer.SerializeToString(), media_type=PROTO, headers={"Cache-Control": "no-store"})

    @contextmanager
    def _upload(self) -> Iterator[None]:
        if self._uploads >= self._limits.uploads:
            raise NoCapacityError(
                f"{self._uploads} requests are arriving already; try again in a moment", retry_after_s=BUSY_S
            )
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1


def _patience_s(milliseconds: str) -> float | None:
    """What `Connect-Timeout-Ms` says; None = as long as it takes."""
    return int(milliseconds) / 1000 if milliseconds.isdecimal() and len(milliseconds) <= MOST_TIMEOUT_DIGITS else None


def routes(service: WebService) -> list[BaseRoute]:
    """The four unary calls."""
    answer = typed(service.calls.metrics, UnaryCalls(service).answer)
    return [Route("/avatar.v1.AvatarService/{call}", answer, methods=["POST"])]
