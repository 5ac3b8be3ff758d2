"""Every connection to the web port, so that those which say nothing, or too much, do not stay.

uvicorn waits for ever for the head of a request and for a closed connection to take its last bytes; here both have an
end, and there is a bound to how many come and stay.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from avatar_sdk.server.config import WebLimits

log = structlog.get_logger(__name__)

MOST_HEAD_BYTES: Final = 64 << 10
MOST_PIECES: Final = 64
"""Frames that one WebSocket message may be cut into."""
LOOK_S: Final = 1.0
CLOSING_S: Final = 5.0
"""How long a connection that is being closed may take to read what is still under way to it."""
REQUEST_S: Final = 300.0
"""How long one request may take as a whole, its answer included; sockets are not requests."""


@dataclass(eq=False)
class _Seen:
    """What is known of a connection. Times are of the event loop. Unit: seconds."""

    attempt_since: float | None
    request_since: float | None
    closing_since: float | None = None


class Connections:
    """Knows every open connection; all methods run on the event loop.

    Attributes:
        limits: what is borne.
        refused: connections cut because there were too many.
    """

    def __init__(self, limits: WebLimits) -> None:
        self.limits = limits
        self.refused = 0
        self._seen: dict[asyncio.Transport, _Seen] = {}
        self._attempts: dict[asyncio.Transport, None] = {}  # the one that has waited longest first
        self._allowance = limits.attempts_per_s
        self._counted_s = 0.0
        self._told = 0
        self._keeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def transports(self) -> tuple[asyncio.Transport, ...]:
        """Every open connection."""
        return tuple(self._seen)

    def start(self) -> None:
        """Looks after the connections from now on."""
        self._counted_s = _now_s()
        self._keeper = asyncio.create_task(self._keep(), name="web connections")

    async def stop(self) -> None:
        """Cuts what is still open."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for transport in self.transports:
            transport.abort()

    def admit(self) -> bool:
        """Whether one more connection may come now."""
        now_s = _now_s()
        rate = self.limits.attempts_per_s
        self._allowance = min(rate, self._allowance + (now_s - self._counted_s) * rate)
        self._counted_s = now_s
        if self._allowance < 1 or len(self._seen) >= self.limits.connections:
            self.refused += 1
            return False
        self._allowance -= 1
        return True

    def opened(self, transport: asyncio.Transport) -> None:
        """A connection came, and has said nothing yet."""
        if len(self._attempts) >= self.limits.attempts:
            self.refused += 1
            oldest = next(iter(self._attempts))
            del self._attempts[oldest]
            oldest.abort()
        self._attempts[transport] = None
        self._seen[transport] = _Seen(_now_s(), _now_s())

    def asking(self, transport: asyncio.Transport) -> None:
        """A request begins on a connection."""
        seen = self._seen.get(transport)
        if seen is not None:
            seen.attempt_since = seen.request_since = _now_s()

    def asked(self, transport: asyncio.Transport, *, socket: bool) -> None:
        """The head of a request is complete; with `socket` the connection becomes a WebSocket."""
        self._attempts.pop(transport, None)
        seen = self._seen.get(transport)
        if seen is not None:
            seen.attempt_since = None
            if socket:
                seen.request_since = None

    def lost(self, transport: asyncio.Transport) -> None:
        """A connection is gone."""
        self._attempts.pop(transport, None)
        self._seen.pop(transport, None)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._look(_now_s())

    def _look(self, now_s: float) -> None:
        """Cuts what has taken too long."""
        for transport, seen in tuple(self._seen.items()):
            if transport.is_closing():
                seen.closing_since = seen.closing_since or now_s
            waits = (
                (seen.attempt_since, self.limits.request_timeout_s),
                (seen.request_since, REQUEST_S),
                (seen.closing_since, CLOSING_S),
            )
            if any(since is not None and now_s - since >= most_s for since, most_s in waits):
                transport.abort()
        if self.refused > self._told:
            log.warning("too many connections to the web port", refused=self.refused - self._told, open=len(self))
            self._told = self.refused


class Refused(asyncio.Protocol):
    """A connection too many: cut before anything is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cuts it."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP, looked after. Its `app_state` holds the `Connections` under "connections"."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all: Connections = app_state["connections"]
        self._head_bytes: int | None = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Reports it."""
        super().connection_made(transport)
        self._all.opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Reports it."""
        self._all.lost(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Cuts a connection whose head has no end."""
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > MOST_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_bytes = self._head_bytes or 0
        self._all.asking(self.transport)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._head_bytes = None
        self._all.asked(self.transport, socket=False)
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket."""
        self._all.asked(self.transport, socket=True)
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment] # as when a connection is lost: it holds us


class Cut:
    """Ends one connection at once.

    It knows the transport and not the connection: else each would hold the other, and what a stream held would wait for
    the garbage collector.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def __call__(self) -> None:
        """Ends it."""
        if self.transport is not None:
            self.transport.abort()


class SocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, looked after. `scope["state"]["cut"]` ends it at once, whatever is under way."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        self._cut = Cut()
        super().__init__(config, server_state, {**app_state, "cut": self._cut}, _loop)
        self._all: Connections = app_state["connections"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes it over from HTTP."""
        super().connection_made(transport)
        self._cut.transport = self.transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Reports it."""
        self._all.lost(self.transport)
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """An answer instead of a socket is one, too: uvicorn would complain that there is none."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """Answers, unless the other end does not even read what it asked for: answers must not pile up."""
        answer = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(answer))

    def handle_cont(self, event: Any) -> None:
        """Cuts a message that comes in ever more pieces, which may all be empty."""
        if len(self.frames) >= MOST_PIECES:
            self.transport.abort()
        else:
            super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        """Nobody is there to read a goodbye."""
        self.transport.abort()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
