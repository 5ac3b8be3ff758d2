"""Frames become bytes: JPEG by default, low-delay H.264, or raw RGB for tests and the same host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, Final, Protocol

import cv2
import numpy as np
import simplejpeg
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

DEFAULT_QUALITY: Final = 85
DEFAULT_BIT_RATE: Final = 2_000_000
KEY_FRAME_INTERVAL: Final = 240
"""H.264 frames between key frames: a reader that lost its way finds back within ten seconds."""


class Encoding(Enum):
    """How frames are encoded."""

    JPEG = "jpeg"
    H264 = "h264"
    RGB = "rgb"


@dataclass(frozen=True)
class EncodedFrame:
    """One frame on its way out.

    Attributes:
        data: the bytes; empty when the encoder holds the frame back, which none of ours does.
        key: whether decoding can start here.
    """

    data: bytes
    key: bool


class Encoder(Protocol):
    """Turns the frames of one stream into bytes, in order."""

    encoding: Encoding

    def encode(self, image: Pixels) -> EncodedFrame:
        """Encodes (H, W, 3) uint8 RGB."""

    def request_key(self) -> None:
        """The next frame shall be one that decoding can start at."""


class JpegEncoder:
    """Every frame stands alone; 4:2:0. `quality` in [1, 100]."""

    encoding = Encoding.JPEG

    def __init__(self, quality: int = DEFAULT_QUALITY) -> None:
        if not 1 <= quality <= 100:
            raise InvalidConfigError(f"quality is {quality}; it must be in [1, 100]", field="config.quality")
        self._quality = quality

    def encode(self, image: Pixels) -> EncodedFrame:
        """Encodes (H, W, 3) uint8 RGB."""
        data = simplejpeg.encode_jpeg(image, self._quality, colorspace="RGB", colorsubsampling="420", fastdct=True)
        return EncodedFrame(data, key=True)

    def request_key(self) -> None:
        """Every frame is one already."""


class RawEncoder:
    """height × width × 3 bytes."""

    encoding = Encoding.RGB

    def encode(self, image: Pixels) -> EncodedFrame:
        """Encodes (H, W, 3) uint8 RGB."""
        return EncodedFrame(image.tobytes(), key=True)

    def request_key(self) -> None:
        """Every frame is one already."""


class H264Encoder:
    """H.264 Annex B without delay: no B frames, no look-ahead, parameter sets before every key frame.

    `bit_rate` in bits per second, `fps` in frames per second.
    """

    encoding = Encoding.H264

    def __init__(self, bit_rate: int = DEFAULT_BIT_RATE, fps: float = 24.0) -> None:
        if not 50_000 <= bit_rate <= 50_000_000:
            raise InvalidConfigError(
                f"bit_rate is {bit_rate}; it must be in [50000, 50000000] bits per second", field="config.bit_rate"
            )
        self._bit_rate = bit_rate
        self._rate = Fraction(fps).limit_denominator(1001)
        self._codec: Any = None
        self._frames = 0
        self._key_wanted = True

    def encode(self, image: Pixels) -> EncodedFrame:
        """Encodes (H, W, 3) uint8 RGB; every image of a stream has the same even size."""
        import av
        from av.video.frame import PictureType

        if self._codec is None:
            self._codec = self._open(av, image.shape[1], image.shape[0])
        # A third of the time of PyAV's own conversion, to the same BT.601 video range.
        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
        frame.pts = self._frames
        frame.time_base = 1 / self._rate
        frame.pict_type = PictureType.I if self._key_wanted else PictureType.NONE
        self._key_wanted = False
        self._frames += 1
        packets = self._codec.encode(frame)
        return EncodedFrame(b"".join(bytes(p) for p in packets), key=any(p.is_keyframe for p in packets))

    def request_key(self) -> None:
        """The next frame is a key frame."""
        self._key_wanted = True

    def _open(self, av: Any, width_px: int, height_px: int) -> Any:
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width_px, height_px, "yuv420p"
        codec.framerate, codec.time_base = self._rate, 1 / self._rate
        codec.bit_rate = self._bit_rate
        codec.gop_size = KEY_FRAME_INTERVAL
        codec.thread_count = 1
        codec.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "x264-params": "repeat-headers=1:annexb=1",
        }
        codec.open()
        return codec


def make_encoder(encoding: Encoding, *, quality: int = 0, bit_rate: int = 0, fps: float = 24.0) -> Encoder:
    """The encoder of one stream; 0 means the default.

    Raises:
        InvalidConfigError: a value is out of range.
    """
    if encoding is Encoding.H264:
        return H264Encoder(bit_rate or DEFAULT_BIT_RATE, fps)
    if encoding is Encoding.RGB:
        return RawEncoder()
    return JpegEncoder(quality or DEFAULT_QUALITY)
