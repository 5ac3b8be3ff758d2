"""How peers are served."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from avatar_client.errors import InvalidConfigError

CODECS: Final = ("offer", "h264", "vp8")


@dataclass(frozen=True)
class WebRtcConfig:
    """How peers are served.

    Attributes:
        bit_rate: of one avatar track when it starts; aiortc's own 0.5–1 Mbit/s blur a moving face. Unit: bits per
            second.
        min_bit_rate, max_bit_rate: bounds of what the receiver's estimate may make of it. Unit: bits per second.
        codec: "h264" or "vp8" puts that one first; "offer" leaves the order to the peer.
        max_peers: connections of the whole server.
        max_peers_per_session: connections of one session.
        connect_timeout_s: a peer that is not connected by then is given up. Unit: seconds.
        ice_servers: STUN or TURN addresses (`stun:host:port`); none are asked unless given here.
        audio_delay_ms: fixed delay of the sound instead of the measured one; None = measured. Unit: milliseconds.
        camera_lag_ms: what a client that tracks by itself needs from the camera's image to the pose's arrival here;
            added to the measured delay, for the server cannot see it. Unit: milliseconds.

    Raises:
        InvalidConfigError: a value is out of range.
    """

    bit_rate: int = 3_000_000
    min_bit_rate: int = 1_000_000
    max_bit_rate: int = 6_000_000
    codec: str = "offer"
    max_peers: int = 16
    max_peers_per_session: int = 4
    connect_timeout_s: float = 15.0
    ice_servers: tuple[str, ...] = ()
    audio_delay_ms: float | None = None
    camera_lag_ms: float = 40.0

    def __post_init__(self) -> None:
        if not 50_000 <= self.min_bit_rate <= self.bit_rate <= self.max_bit_rate:
            raise InvalidConfigError(
                f"bit rates are {self.min_bit_rate} ≤ {self.bit_rate} ≤ {self.max_bit_rate} bit/s; "
                "they must rise in this order, from 50000 on",
                field="bit_rate",
            )
        if self.codec not in CODECS:
            raise InvalidConfigError(f"codec is {self.codec!r}; it must be one of {', '.join(CODECS)}", field="codec")
        if self.audio_delay_ms is not None and not 0 <= self.audio_delay_ms <= 2000:
            raise InvalidConfigError(
                f"audio_delay_ms is {self.audio_delay_ms:g}; it must be in [0, 2000]", field="audio_delay_ms"
            )


def webrtc_installed() -> bool:
    """Whether the extra `[webrtc]` is there."""
    return find_spec("aiortc") is not None
