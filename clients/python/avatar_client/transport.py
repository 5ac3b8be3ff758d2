"""Channels to a service, and its unary calls with typed errors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc

from avatar_client._gen.avatar_pb2_grpc import AvatarServiceStub
from avatar_client.errors import InvalidConfigError
from avatar_client.wire import error_from_rpc

Response = TypeVar("Response")

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.http2.bdp_probe", 0),  # a receive window that grows would hide seconds of old frames
    ("grpc.http2.lookahead_bytes", 262_144),
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 18 << 20),
    ("grpc.initial_reconnect_backoff_ms", 300),
    ("grpc.max_reconnect_backoff_ms", 7_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Low delay rather than throughput; why each: a stalled reader must stop the writer within a few frames."""


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Encryption. Without files, the system's trusted authorities are used.

    Attributes:
        root_certificates: PEM file of the authorities to trust.
        certificate_chain: PEM file of this client's certificate, where the server asks for one.
        private_key: PEM file of its key.
        server_name: name the server's certificate bears, when it differs from the address.
    """

    root_certificates: str | os.PathLike[str] | None = None
    certificate_chain: str | os.PathLike[str] | None = None
    private_key: str | os.PathLike[str] | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises InvalidConfigError for a file that cannot be read."""
        return grpc.ssl_channel_credentials(
            _pem(self.root_certificates), _pem(self.private_key), _pem(self.certificate_chain)
        )


class Transport:
    """The way to one address; belongs to the event loop it was made in."""

    def __init__(self, target: str, token: str | None, tls: TlsConfig | None, timeout_s: float) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else gRPC's C core tells the terminal of every break
        self.target = target
        self.timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        options = list(CHANNEL_OPTIONS)
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target, options)
        else:
            named = [("grpc.ssl_target_name_override", tls.server_name)] if tls.server_name else []
            self._channel = grpc.aio.secure_channel(target, tls.credentials(), [*options, *named])
        self._stub = AvatarServiceStub(self._channel)

    async def call(
        self, method: str, request: Any, response: type[Response], timeout_s: float | None = None
    ) -> Response:
        """One unary call.

        Raises:
            AvatarError: what the server raised, ConnectionLostError or TimeoutExceededError.
        """
        try:
            answer = await getattr(self._stub, method)(
                request, timeout=timeout_s or self.timeout_s, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.target) from error
        assert isinstance(answer, response)
        return answer

    def stream(self) -> Any:
        """A new, unsent `Stream` call."""
        return self._stub.Stream(metadata=self._metadata)

    async def close(self) -> None:
        """Closes the channel and whatever still runs on it."""
        await self._channel.close()


def _pem(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidConfigError(
            f"TLS file {os.fspath(path)!r} cannot be read: {error.strerror}", field="tls"
        ) from error
