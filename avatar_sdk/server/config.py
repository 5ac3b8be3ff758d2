"""How a server is set up; safe unless told otherwise."""

from __future__ import annotations

import ipaddress
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

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidConfigError(f"port is {self.port}; it must be in [0, 65535]", field="port")
        if (self.certificate is None) != (self.key is None):
            raise InvalidConfigError("TLS needs both a certificate and a key; give --certificate and --key")
        if not (self.loopback or self.insecure or (self.token and self.certificate)):
            raise InvalidConfigError(
                f"{self.host} can be reached from other machines; give --token and --certificate/--key, "
                "or --insecure if the network itself is trusted",
                field="host",
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
