"""`avatar.v1.AvatarService` over gRPC: each call of `Calls`, its errors as statuses."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from avatar_client._gen import avatar_pb2_grpc
from avatar_client.errors import AvatarError

from avatar_sdk.server.calls import Calls
from avatar_sdk.server.errors import abort

LINGER_S: Final = 0.25
"""A call that ends while its client writes loses what the client has not read yet: why the session is over."""


def typed(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A call whose `AvatarError`s become statuses."""

    @functools.wraps(call)
    async def guarded(self: AvatarServicer, request: Any, context: Any) -> Any:
        try:
            return await call(self, request, context)
        except AvatarError as error:
            self.calls.metrics.error(error.reason)
            await abort(context, error)

    return guarded


class AvatarServicer(avatar_pb2_grpc.AvatarServiceServicer):  # type: ignore[misc] # generated code is untyped
    """The gRPC shell of `calls`."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    @typed
    async def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What this server can do and how full it is."""
        return await self.calls.get_server_info(request)

    @typed
    async def CreateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Checks the portrait and takes a slot."""
        return await self.calls.create_session(request)

    @typed
    async def UpdateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Changes a session without a stream."""
        return await self.calls.update_session(request)

    @typed
    async def DeleteSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ends a session and frees its slot."""
        return await self.calls.delete_session(request)

    @typed
    async def Stream(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802
        """Drives a session: the first message is a StreamConfig, then poses against frames."""
        await self.calls.stream(requests, context, "grpc", LINGER_S)
