"""The avatar as a WebRTC video track."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Final, Protocol

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame
from numpy.typing import NDArray

from avatar_sdk.session import WatchedFrame, now_us

CLOCK_HZ: Final = 90_000
TIME_BASE: Final = Fraction(1, CLOCK_HZ)
LEAST_GAP_US: Final = 34_000
"""aiortc's encoders count in thirtieths of a second; two pictures within one would share a time stamp."""
REPEAT_US: Final = 250_000
"""Without a new picture for this long the last one is sent again, so that a player that just came sees something."""


class Frames(Protocol):
    """The finished pictures of a session, the newest each time."""

    async def __anext__(self) -> WatchedFrame:
        """The next picture; raises StopAsyncIteration when the session has ended."""

    def close(self) -> None:
        """No more pictures are wanted."""


class AvatarTrack(MediaStreamTrack):
    """Sends every new picture of a session at once, and never an older one.

    What comes while one is encoded replaces what waits. Time stamps are the service's clock in 1/90000 s;
    `VideoStreamTrack`, aiortc's own base, would count at 30 fps.
    """

    kind = "video"

    def __init__(self, frames: Frames, on_sent: Callable[[WatchedFrame, int], None] | None = None) -> None:
        """`on_sent` gets every new picture and the time it left at, in microseconds."""
        super().__init__()
        self._frames = frames
        self._on_sent = on_sent
        self._coming: asyncio.Task[WatchedFrame] | None = None
        self._last: NDArray[np.uint8] | None = None
        self._origin_us: int | None = None
        self._sent_us = 0

    async def recv(self) -> VideoFrame:
        """The newest picture.

        Raises:
            MediaStreamError: the session has ended or the track was stopped.
        """
        if self.readyState != "live":
            raise MediaStreamError
        if self._origin_us is not None:
            await asyncio.sleep((self._sent_us + LEAST_GAP_US - now_us()) / 1e6)
        fresh = await self._next()
        if fresh is not None:
            self._last = fresh.image
        assert self._last is not None
        now = now_us()
        if self._origin_us is None:
            self._origin_us = now
        self._sent_us = now
        if fresh is not None and self._on_sent is not None:
            self._on_sent(fresh, now)
        frame = VideoFrame.from_ndarray(self._last, format="rgb24")
        frame.pts = (now - self._origin_us) * CLOCK_HZ // 1_000_000
        frame.time_base = TIME_BASE
        return frame

    def stop(self) -> None:
        """Ends the track; the session goes on. Idempotent."""
        if self.readyState == "live":
            super().stop()
            if self._coming is not None:
                self._coming.cancel()
            self._frames.close()

    async def _next(self) -> WatchedFrame | None:
        """A new picture, or None when it is time to repeat the last one."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._frames.__anext__())
        patience_s = None if self._last is None else (self._sent_us + REPEAT_US - now_us()) / 1e6
        done, _ = await asyncio.wait([self._coming], timeout=patience_s)
        if not done:
            return None
        coming, self._coming = self._coming, None
        try:
            return coming.result()
        except (StopAsyncIteration, asyncio.CancelledError) as end:
            self.stop()
            raise MediaStreamError from end
