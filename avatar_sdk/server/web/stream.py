"""The stream over WebSocket: binary frames of one StreamRequest or StreamResponse each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, Self

import structlog
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import AvatarError, InvalidInputError, NoCapacityError, ProtocolError, ServerDrainingError
from google.protobuf.message import DecodeError
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from avatar_sdk.server.conversation import check_size
from avatar_sdk.server.errors import to_number, to_stream_error
from avatar_sdk.server.web.service import WebService
from avatar_sdk.session import CloseReason

log = structlog.get_logger(__name__)

SUBPROTOCOL: Final = "avatar.v1"
DONE: Final = 1000
GOING_AWAY: Final = 1001
FAILED: Final = 4000
"""Plus the number of the gRPC status code."""
MOST_REASON_BYTES: Final = 123
AT_ONCE: Final = 8
"""Messages that may be taken in one turn of the event loop, however many have arrived."""
LAST_WORDS_S: Final = 2.0
"""How long the last message and the close frame may wait for a socket that takes nothing."""


class SocketGoneError(Exception):
    """The other end of a socket does not take anything any more."""


class SocketRequests:
    """What comes in, as an asynchronous iterator of StreamRequests that ends when the socket does."""

    def __init__(self, socket: WebSocket, on_begin: Callable[[], None]) -> None:
        """`on_begin` is called with every request that can be read."""
        self._socket = socket
        self._on_begin = on_begin
        self._taken = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pb.StreamRequest:
        """The next request.

        Raises:
            InvalidInputError: a message is too large, or no StreamRequest.
        """
        await asyncio.sleep(
            0
        )  # what has arrived already would else be taken in one turn of the loop, however much it is
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise StopAsyncIteration
        data = message.get("bytes")
        if data is None:
            raise InvalidInputError("a text message came; send binary ones, a StreamRequest each", field="message")
        check_size(len(data))
        try:
            request: pb.StreamRequest = pb.StreamRequest.FromString(data)
        except DecodeError as error:
            raise InvalidInputError(
                f"a message of {len(data)} bytes is no StreamRequest: {error}", field="message"
            ) from error
        self._on_begin()
        return request


class SocketWriter:
    """What goes out. The transport keeps 64 KiB and whatever the system does; then `write` waits, for a while."""

    def __init__(self, socket: WebSocket, patience_s: float) -> None:
        self._socket = socket
        self._patience_s = patience_s

    async def write(self, response: pb.StreamResponse) -> None:
        """Sends one message.

        Raises:
            SocketGoneError: the other end left, or has taken nothing for too long; then the socket is cut.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._socket.send_bytes(response.SerializeToString())
        except TimeoutError as error:
            self._socket.state.cut()
            raise SocketGoneError("it has taken nothing for too long") from error
        except (WebSocketDisconnect, RuntimeError) as error:  # RuntimeError: the transport has said goodbye itself
            raise SocketGoneError("it has been closed") from error


class StreamSockets:
    """Every socket on `/v1/stream`; those whose StreamConfig has not come are bounded in number and time."""

    def __init__(self, service: WebService) -> None:
        self._calls = service.calls
        self._limits = service.calls.config.web_limits
        self._waiting: dict[asyncio.Task[Any], None] = {}  # the one that has waited longest first
        self._given_up: dict[asyncio.Task[Any], AvatarError] = {}

    async def accept(self, socket: WebSocket) -> None:
        """Serves one socket to its end."""
        offered = SUBPROTOCOL in socket.scope["subprotocols"]
        await socket.accept(SUBPROTOCOL if offered else None)
        try:
            if not offered:
                raise ProtocolError(f"the socket does not offer the subprotocol {SUBPROTOCOL}; pass it when opening it")
            reason = await self._stream(socket)
        except SocketGoneError:
            return
        except AvatarError as error:
            self._calls.metrics.error(error.reason)
            await self._fail(socket, error)
        except Exception as error:  # one socket must not take others with it, and the client must hear
            log.error("a stream failed", exc_info=error)
            self._calls.metrics.error(AvatarError.reason)
            await self._fail(socket, AvatarError(f"the server failed ({type(error).__name__}); its log says more"))
        else:
            await self._close(socket, GOING_AWAY if reason is CloseReason.DRAIN else DONE)

    def refuse_waiting(self) -> None:
        """Nobody waits any longer to begin: the server shuts down."""
        for task in tuple(self._waiting):
            self._give_up(task, ServerDrainingError("the server is shutting down; connect again in a moment"))

    async def _stream(self, socket: WebSocket) -> CloseReason:
        task = asyncio.current_task()
        assert task is not None
        most = self._limits.attempts
        if len(self._waiting) >= most:
            error = NoCapacityError(
                f"{most} sockets wait with their StreamConfig, this one longest; send it at once", retry_after_s=1.0
            )
            self._give_up(next(iter(self._waiting)), error)
        self._waiting[task] = None
        requests = SocketRequests(socket, lambda: self._waiting.pop(task, None))
        try:
            return await self._calls.stream(requests, SocketWriter(socket, self._limits.write_timeout_s), "web")
        except asyncio.CancelledError:
            failure = self._given_up.get(task)
            if failure is None:
                raise
            task.uncancel()
            raise failure from None
        finally:
            self._waiting.pop(task, None)
            self._given_up.pop(task, None)

    def _give_up(self, task: asyncio.Task[Any], error: AvatarError) -> None:
        del self._waiting[task]
        self._given_up[task] = error
        task.cancel()

    async def _fail(self, socket: WebSocket, error: AvatarError) -> None:
        with contextlib.suppress(SocketGoneError):
            await SocketWriter(socket, LAST_WORDS_S).write(pb.StreamResponse(error=to_stream_error(error)))
            await self._close(socket, FAILED + to_number(error), error.message)

    @staticmethod
    async def _close(socket: WebSocket, code: int, reason: str = "") -> None:
        short = reason.encode()[:MOST_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await socket.close(code, short)
        except TimeoutError:
            socket.state.cut()
        except (WebSocketDisconnect, RuntimeError):
            pass  # closed already


def routes(service: WebService) -> list[BaseRoute]:
    """`/v1/stream`."""
    sockets = StreamSockets(service)
    service.on_drain.append(sockets.refuse_waiting)
    return [WebSocketRoute("/v1/stream", sockets.accept)]
