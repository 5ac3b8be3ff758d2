"""One picture of the avatar, decoded when somebody looks at it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import InvalidInputError, MissingDependencyError, ProtocolError

Image = NDArray[np.uint8]


class MotionSource(StrEnum):
    """What a frame was driven by."""

    POSE = "pose"
    """A new pose."""
    HELD = "held"
    """The last pose, held for a moment; left out of latency figures."""
    IDLE = "idle"
    """No pose: blinking and breathing."""


_SOURCES: Final = {
    pb.MOTION_SOURCE_POSE: MotionSource.POSE,
    pb.MOTION_SOURCE_HELD: MotionSource.HELD,
    pb.MOTION_SOURCE_IDLE: MotionSource.IDLE,
}


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one frame went on the server. Unit: microseconds.

    Attributes:
        queue_us: from the parsed pose to the start of the step.
        motion_us: calibration, retargeting, smoothing.
        warp_us: moving the photo.
        generator_us: the network's step.
        decode_us: latent to residual.
        composite_us: putting the picture together.
        encode_us: JPEG or H.264.
        pose_to_frame_us: from the parsed pose to just before the write.
    """

    queue_us: int
    motion_us: int
    warp_us: int
    generator_us: int
    decode_us: int
    composite_us: int
    encode_us: int
    pose_to_frame_us: int


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the avatar.

    Attributes:
        seq: counts up from 1 within a session; gaps are dropped frames.
        timestamp_us: time on the session's frame clock. Unit: microseconds since the first frame.
        width_px: width of the picture.
        height_px: height of the picture.
        encoding: "jpeg", "h264" or "rgb".
        key: whether decoding can start here.
        data: the picture as it travelled.
        pose_seq: number of the pose shown; 0 before the first.
        pose_timestamp_us: capture time of that pose.
        pose_age_us: age of the pose when the step started; 0 for a new pose.
        source: what drove the frame.
        generated: always True: this picture was made by a machine.
        timings: where the server's time went.
        received_us: when it arrived, on this machine's monotonic clock.
        camera_to_display_us: from the pose's capture to the moment this frame was taken; None when the frame shows
            no new pose, or the poses' times are not this machine's monotonic clock.
    """

    seq: int
    timestamp_us: int
    width_px: int
    height_px: int
    encoding: str
    key: bool
    data: bytes = field(repr=False)
    pose_seq: int
    pose_timestamp_us: int
    pose_age_us: int
    source: MotionSource
    generated: bool
    timings: Timings
    received_us: int
    camera_to_display_us: int | None = None
    _decoder: H264Decoder | None = field(default=None, repr=False)

    @cached_property
    def image(self) -> Image:
        """(H, W, 3) uint8 RGB in [0, 255]; decoded on first use.

        Raises:
            ProtocolError: the bytes are not what the encoding says.
            InvalidInputError: an H.264 frame was asked for after a later one.
            MissingDependencyError: H.264 needs PyAV.
        """
        if self.encoding == "h264":
            assert self._decoder is not None
            return self._decoder.image(self.seq)
        if self.encoding == "rgb":
            if len(self.data) != self.height_px * self.width_px * 3:
                raise ProtocolError(
                    f"frame {self.seq} has {len(self.data)} bytes; "
                    f"{self.width_px}×{self.height_px} RGB needs {self.height_px * self.width_px * 3}"
                )
            return np.frombuffer(self.data, np.uint8).reshape(self.height_px, self.width_px, 3)
        import simplejpeg

        try:
            image: Image = simplejpeg.decode_jpeg(self.data, "RGB", fastdct=True, fastupsample=True)
        except ValueError as error:
            raise ProtocolError(f"frame {self.seq} is no readable JPEG: {error}") from error
        return image


def frame_from_proto(
    message: pb.Frame, *, received_us: int, taken_us: int, decoder: H264Decoder | None = None
) -> Frame:
    """The frame a message carries, taken by the program at `taken_us`."""
    source = _SOURCES.get(message.source, MotionSource.IDLE)
    age_us = taken_us - message.pose_timestamp_us
    times = message.timings
    return Frame(
        seq=message.seq,
        timestamp_us=message.timestamp_us,
        width_px=message.width_px,
        height_px=message.height_px,
        encoding=pb.Encoding.Name(message.encoding).removeprefix("ENCODING_").lower(),
        key=message.key,
        data=message.data,
        pose_seq=message.pose_seq,
        pose_timestamp_us=message.pose_timestamp_us,
        pose_age_us=message.pose_age_us,
        source=source,
        generated=message.generated,
        timings=Timings(
            queue_us=times.queue_us,
            motion_us=times.motion_us,
            warp_us=times.warp_us,
            generator_us=times.generator_us,
            decode_us=times.decode_us,
            composite_us=times.composite_us,
            encode_us=times.encode_us,
            pose_to_frame_us=times.pose_to_frame_us,
        ),
        received_us=received_us,
        # a recording's times start anywhere: only a plausible age is one
        camera_to_display_us=age_us if source is MotionSource.POSE and 0 <= age_us < 10_000_000 else None,
        _decoder=decoder,
    )


class H264Decoder:
    """Decodes a stream frame by frame, and only as far as somebody looks."""

    _MAX_WAITING: Final = 96

    def __init__(self) -> None:
        """Raises MissingDependencyError without PyAV."""
        try:
            import av
        except ImportError as error:
            raise MissingDependencyError(
                "H.264 frames need PyAV; pip install 'avatar-client[webcam]', or use encoding='jpeg'"
            ) from error
        self._codec: Any = av.CodecContext.create("h264", "r")
        self._codec.thread_count = 1
        self._codec.flags |= av.codec.context.Flags.low_delay
        self._waiting: deque[tuple[int, bytes, bool]] = deque()
        self._lock = threading.Lock()
        self._last: tuple[int, Any] | None = None

    def push(self, seq: int, data: bytes, *, key: bool) -> None:
        """Takes over one frame as it arrives."""
        with self._lock:
            self._waiting.append((seq, data, key))
            if len(self._waiting) > self._MAX_WAITING:
                self._skip_to_key(seq)
                self._decode_next()

    def image(self, seq: int) -> Image:
        """(H, W, 3) uint8 RGB of frame `seq`; frames can be asked for in order only.

        Raises:
            InvalidInputError: a later frame was decoded already.
            ProtocolError: the stream is damaged.
        """
        with self._lock:
            self._skip_to_key(seq)
            while self._waiting and self._waiting[0][0] <= seq:
                self._decode_next()
            if self._last is None or self._last[0] != seq:
                raise InvalidInputError(
                    f"H.264 frame {seq} was passed over; look at frames in order, or use encoding='jpeg'"
                )
            image: Image = self._last[1].to_ndarray(format="rgb24")
            return image

    def _skip_to_key(self, seq: int) -> None:
        """What waits before the last key frame up to `seq` need not be decoded."""
        keys = [index for index, (number, _, key) in enumerate(self._waiting) if key and number <= seq]
        for _ in range(keys[-1] if keys else 0):
            self._waiting.popleft()

    def _decode_next(self) -> None:
        import av

        seq, data, _ = self._waiting.popleft()
        try:
            for picture in self._codec.decode(av.Packet(data)):
                self._last = (seq, picture)
        except av.error.FFmpegError as error:
            raise ProtocolError(f"frame {seq} is no readable H.264: {error.strerror}") from error
