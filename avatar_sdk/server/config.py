"""How a server is set up; safe unless told otherwise."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.pacing import FrameClockConfig
from avatar_sdk.session import SessionLimits

MAX_PORTRAIT_BYTES: Final = 8 << 20
MAX_MESSAGE_BYTES: Final = 9 << 20
"""Room for a portrait that is too large, so that it meets our typed error and not the transport's."""
MAX_STREAM_MESSAGE_BYTES: Final = 256 << 10
ORIGIN: Final = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?")
"""What browsers send as `Origin`."""


@dataclass(frozen=True)
class WebLimits:
    """What the web port bears from strangers; sessions that run are not touched by any of it.

    Attributes:
        connections: open at once; one more is cut.
        attempts: connections whose request has not come, and sockets whose StreamConfig has not, each at once; the one
            that has waited longest gives way to a new one.
        attempts_per_s: new connections a second, and as many in one burst; what is more is cut unread.
        uploads: request bodies that may arrive at once; one more is asked to come back.
        request_timeout_s: how long the head of a request, or a TLS handshake, may take. Unit: seconds.
        body_timeout_s: how long its body may take. Unit: seconds.
        write_timeout_s: how long a socket may take nothing before it is cut. Unit: seconds.
    """

    connections: int = 1024
    attempts: int = 128
    attempts_per_s: float = 200.0
    uploads: int = 16
    request_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    write_timeout_s: float = 20.0


@dataclass(frozen=True)
class ServerConfig:
    """Where and how a server listens.

    Attributes:
        host: address to bind. Anything but loopback needs `token` and TLS, or `insecure`.
        port: 0 = a free one.
        token: bearer token that every call must carry; "" = none.
        certificate, key: PEM files for TLS, or None.
        insecure: allows an address that others can reach without token or TLS.
        metrics_port: Prometheus metrics on loopback; None = off, 0 = a free one.
        size_px: side of the frames. Unit: pixels.
        limits: of every session.
        clock: of every session.
        drain_grace_s: how long streams may go on after a stop was asked for. Unit: seconds.
        first_message_timeout_s: how long a new stream may stay silent. Unit: seconds.
        warm_up: whether some frames are made before the first call is answered.
        web_port: port of the page, the WebSocket and the calls over HTTP; None = off, 0 = a free one.
        allowed_origins: other web sites whose pages may call, as `https://example.com`.
        server_tracking: whether poses are found in clients' camera pictures; None = only if nobody else can connect.
        web_limits: of the web port.

    Raises:
        InvalidConfigError: when the address would be open to others without protection.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    metrics_port: int | None = None
    size_px: int = 512
    limits: SessionLimits = field(default_factory=SessionLimits)
    clock: FrameClockConfig = field(default_factory=FrameClockConfig)
    drain_grace_s: float = 5.0
    first_message_timeout_s: float = 10.0
    warm_up: bool = True
    web_port: int | None = None
    allowed_origins: tuple[str, ...] = ()
    server_tracking: bool | None = None
    web_limits: WebLimits = field(default_factory=WebLimits)

    def __post_init__(self) -> None:
        for name in ("port", "web_port"):
            if not 0 <= (getattr(self, name) or 0) <= 65535:
                raise InvalidConfigError(f"{name} is {getattr(self, name)}; it must be in [0, 65535]", field=name)
        for origin in self.allowed_origins:
            if not ORIGIN.fullmatch(origin):
                raise InvalidConfigError(
                    f"allowed origin {origin!r} is not one; it must look like https://example.com or "
                    "http://192.168.1.7:3000, without a path",
                    field="allowed_origins",
                )
        if (self.certificate is None) != (self.key is None):
            raise InvalidConfigError("TLS needs both a certificate and a key; give --certificate and --key")
        if not (self.loopback or self.insecure or (self.token and self.certificate)):
            raise InvalidConfigError(
                f"{self.host} can be reached from other machines; give --token and --certificate/--key, "
                "or --insecure if the network itself is trusted",
                field="host",
            )

    @property
    def tracks(self) -> bool:
        """Whether poses are found in clients' camera pictures."""
        return self.loopback if self.server_tracking is None else self.server_tracking

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
