"""The web port: uvicorn in the loop of the gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final

import structlog
import uvicorn
from avatar_client.errors import InvalidConfigError

from avatar_sdk.server.calls import Calls
from avatar_sdk.server.config import MAX_STREAM_MESSAGE_BYTES, ServerConfig
from avatar_sdk.server.web.app import make_app
from avatar_sdk.server.web.connections import Connections, HttpConnection, Refused, SocketConnection
from avatar_sdk.server.web.service import WebService
from avatar_sdk.server.web.tokens import Tokens

log = structlog.get_logger(__name__)

MOST_SOCKET_MESSAGE_BYTES: Final = 4 * MAX_STREAM_MESSAGE_BYTES
"""Room for a message that is too large, so that it meets our typed error; beyond, the transport closes with 1009."""
PING_S: Final = 20.0
ANYWHERE: Final = ("0.0.0.0", "::")
"""Every address of this machine; nobody can be sent there."""
ACCEPTED_AT_ONCE: Final = 16
"""Connections taken in one turn of the event loop: frames of running sessions must not wait behind a crowd."""
WAITING_AT_THE_DOOR: Final = 1024
STOP_S: Final = 1.0


class _Uvicorn(uvicorn.Server):
    """uvicorn without signals of its own, behind our `Connections`."""

    def __init__(self, config: uvicorn.Config, door: socket.socket, connections: Connections) -> None:
        super().__init__(config)
        self._door = door
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens."""
        config, connections = self.config, self._connections
        state = {"connections": connections}

        def connection() -> asyncio.Protocol:
            return HttpConnection(config, self.server_state, state) if connections.admit() else Refused()

        server = await asyncio.get_running_loop().create_server(
            connection,
            sock=self._door,
            ssl=config.ssl,
            backlog=ACCEPTED_AT_ONCE,
            ssl_handshake_timeout=connections.limits.request_timeout_s if config.ssl else None,
        )
        self._door.listen(WAITING_AT_THE_DOOR)
        self.servers = [server]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process's signals belong to `avatar_sdk.server.serve`."""
        yield


class WebListener:
    """The page, the WebSocket and the calls over HTTP, on one port.

    Attributes:
        url: where the page is, once bound.
        service: what the routes share.
    """

    def __init__(self, config: ServerConfig, calls: Calls) -> None:
        self.config = config
        self.url = ""
        self.service = WebService(calls, Tokens(config.token))
        self.connections = Connections(config.web_limits)
        self._door: socket.socket | None = None
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    def bind(self) -> None:
        """Takes the port; nobody is answered yet.

        Raises:
            InvalidConfigError: the address is taken or not this machine's.
        """
        host, port = self.config.host, self.config.web_port
        assert port is not None
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._door = socket.create_server((host, port), family=family, backlog=WAITING_AT_THE_DOOR)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
            raise InvalidConfigError(
                f"{host}:{port} cannot be bound for the page ({why}); choose another --web-port, or --no-web",
                field="web_port",
            ) from error
        name = socket.gethostname() if host in ANYWHERE else f"[{host}]" if ":" in host else host
        self.url = f"{'https' if self.config.certificate else 'http'}://{name}:{self._door.getsockname()[1]}/"

    async def start(self) -> None:
        """Serves on the port that was bound."""
        config, door = self.config, self._door
        assert door is not None
        settings = uvicorn.Config(
            make_app(self.service),
            http=HttpConnection,
            ws=SocketConnection,
            ws_max_size=MOST_SOCKET_MESSAGE_BYTES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=config.certificate,
            ssl_keyfile=config.key,
        )
        settings.load()
        connections = self.connections
        connections.start()
        self.service.calls.metrics.watch_web(lambda: len(connections), lambda: connections.refused)
        self._server = server = _Uvicorn(settings, door, connections)
        self._serving = asyncio.create_task(server.serve(), name="web")
        while not server.started and not self._serving.done():
            await asyncio.sleep(0)
        if self._serving.done():
            await self._serving

    def drain(self) -> None:
        """The server begins to shut down."""
        for leave in self.service.on_drain:
            leave()

    async def stop(self) -> None:
        """Closes the port and what is open on it. Idempotent."""
        if self._server is None or self._serving is None:
            if self._door is not None:
                self._door.close()
            return
        for close in self.service.on_stop:
            await close()
        self._server.should_exit = True
        await self._serving
        await self.connections.stop()
        self._server = None
