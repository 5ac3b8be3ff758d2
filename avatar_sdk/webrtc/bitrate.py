"""The bit rate of aiortc's encoders.

aiortc has no parameter for it: `DEFAULT_BITRATE`, `MIN_BITRATE` and `MAX_BITRATE` of its codec modules are read when an
encoder is made and when the receiver reports its estimate, so they are set once, for the process.
"""

from __future__ import annotations

from aiortc.codecs import h264, vpx

from avatar_sdk.webrtc.config import WebRtcConfig


def set_bit_rates(config: WebRtcConfig) -> None:
    """Makes every encoder from now on start at `config.bit_rate` and stay within its bounds."""
    for codec in (h264, vpx):
        for name, value in (
            ("DEFAULT_BITRATE", config.bit_rate),
            ("MIN_BITRATE", config.min_bit_rate),
            ("MAX_BITRATE", config.max_bit_rate),
        ):
            assert hasattr(codec, name), f"this aiortc has no {name}"
            setattr(codec, name, value)
