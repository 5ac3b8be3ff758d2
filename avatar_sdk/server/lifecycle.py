"""Starting, stopping and draining the service."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc
import structlog
from avatar_client._gen import avatar_pb2, avatar_pb2_grpc
from avatar_client.errors import AuthenticationError, InvalidConfigError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from avatar_sdk.engine import Engine
from avatar_sdk.model.checkpoint import check_stages
from avatar_sdk.portrait import PortraitConfig
from avatar_sdk.server.calls import Calls
from avatar_sdk.server.config import MAX_MESSAGE_BYTES, ServerConfig
from avatar_sdk.server.errors import to_status
from avatar_sdk.server.metrics import Metrics
from avatar_sdk.server.servicer import AvatarServicer
from avatar_sdk.server.web import WebListener
from avatar_sdk.session import Sessions

log = structlog.get_logger(__name__)

SERVICE: Final = avatar_pb2.DESCRIPTOR.services_by_name["AvatarService"].full_name
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 8192),
    ("grpc.http2.bdp_probe", 0),
    # Two servers on one port is a fault, not a feature.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 3),
)
LAST_WORDS_S: Final = 1.0
"""For the last messages of streams that outlasted the grace."""


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc] # grpc ships no types
    """Refuses calls without the server's bearer token; health stays open."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Lets the call pass or answers UNAUTHENTICATED."""
        if handler_call_details.method.startswith("/grpc.health."):
            return await continuation(handler_call_details)
        given = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        if secrets.compare_digest(given.encode() if isinstance(given, str) else given, self._expected):
            return await continuation(handler_call_details)
        handler = await continuation(handler_call_details)
        error = AuthenticationError("the token is missing or wrong; pass the one the server was started with")

        async def refuse(_request: Any, context: Any) -> None:
            await context.abort_with_status(to_status(error))

        if handler is not None and handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(
                refuse, handler.request_deserializer, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            refuse, getattr(handler, "request_deserializer", None), getattr(handler, "response_serializer", None)
        )


class Server:
    """The service on one address: gRPC, and the web on a port of its own.

    Raises:
        InvalidConfigError: the engine's checkpoint has a trained codec and an untrained generator.

    >>> async with Server(ServerConfig(port=0), Engine.load()) as server:
    ...     print(server.address)
    """

    def __init__(self, config: ServerConfig, engine: Engine) -> None:
        self.config = config
        self.metrics = Metrics()
        check_stages(engine.runtime.trained_stages)
        self.sessions = Sessions(engine, config.limits, config.clock, self.metrics.frame, self.metrics.ended)
        self.address = ""
        self.metrics_port: int | None = None
        self._grpc: Any = None
        self.calls = Calls(config, self.sessions, self.metrics)
        self.web = WebListener(config, self.calls) if config.web_port is not None else None
        self._health: Any = health.aio.HealthServicer()
        self._stopped = False

    async def __aenter__(self) -> Self:
        """Binds and starts.

        Raises:
            InvalidConfigError: the address is taken or not this machine's, or the TLS files cannot be read.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def _start(self) -> None:
        config = self.config
        self.metrics.watch(self.sessions)
        if self.web is not None:
            self.web.bind()
        if config.metrics_port is not None:
            try:
                self.metrics_port = self.metrics.serve(config.metrics_port)
            except OSError as error:
                raise InvalidConfigError(
                    f"metrics port {config.metrics_port} cannot be used ({error.strerror}); choose another",
                    field="metrics_port",
                ) from error
        if config.warm_up:
            await self.sessions.warm_up(PortraitConfig(width_px=config.size_px, height_px=config.size_px))
        interceptors = [TokenCheck(config.token)] if config.token else []
        # A connection outlives every session that began on it; only one that is stuck is cut.
        age_ms = round(1000 * config.limits.max_duration_s)
        ages = (("grpc.max_connection_age_ms", age_ms), ("grpc.max_connection_age_grace_ms", age_ms + 60_000))
        server = grpc.aio.server(options=OPTIONS + ages, interceptors=interceptors)
        avatar_pb2_grpc.add_AvatarServiceServicer_to_server(AvatarServicer(self.calls), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if config.loopback:
            reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME, health.SERVICE_NAME), server)
        self.address = f"{config.host}:{self._bind(server)}"
        if self.web is not None:
            await self.web.start()
        self.sessions.start()
        self._grpc = server
        await server.start()
        await self._serving(True)
        page = self.web.url if self.web is not None else ""
        log.info("serving", address=self.address, page=page, model=self.sessions.engine.runtime.name)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Drains: no new sessions, a GoAway to every stream, the grace, then the end. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        log.info("draining", sessions=len(self.sessions), grace_s=self.config.drain_grace_s)
        await self._health.enter_graceful_shutdown()
        if self.web is not None:
            self.web.drain()
        await self.calls.drain()
        await self.sessions.close()
        if self.web is not None:
            await self.calls.streams_ended(LAST_WORDS_S)
            await self.web.stop()
        if self._grpc is not None:
            await self._grpc.stop(LAST_WORDS_S)
        self.metrics.close()
        log.info("stopped", address=self.address)

    async def _serving(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    def _bind(self, server: Any) -> int:
        config = self.config
        target = f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"
        try:
            if config.certificate and config.key:
                check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # gRPC would only say that it cannot bind
                check.load_cert_chain(config.certificate, config.key, password=lambda: "")
                pair = (config.key.read_bytes(), config.certificate.read_bytes())
                port = server.add_secure_port(target, grpc.ssl_server_credentials([pair]))
            else:
                port = server.add_insecure_port(target)
        except OSError as error:
            raise InvalidConfigError(f"the TLS files cannot be read: {error}", field="certificate") from error
        except RuntimeError as error:
            raise InvalidConfigError(
                f"{target} cannot be bound; another program may use it: choose another --port", field="port"
            ) from error
        return int(port)


async def serve(config: ServerConfig, engine: Engine, on_ready: Callable[[Server], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM, then drains."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, stop.set)
    async with Server(config, engine) as server:
        if on_ready is not None:
            on_ready(server)
        await stop.wait()
