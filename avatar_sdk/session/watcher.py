"""Others who look at a session's frames beside its stream: a published video track, a virtual camera."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import MotionSource
from avatar_sdk.pacing import Latest


@dataclass(frozen=True, eq=False)
class WatchedFrame:
    """One finished frame. Times are microseconds on the service's clock but for the pose's own.

    Attributes:
        seq: number of the frame, from 1; gaps are frames that a watcher was too slow for.
        timestamp_us: of the frame, since the session's first step.
        image: (H, W, 3) uint8 RGB in [0, 255], with the badge if it is on; shared by all watchers, not to be written.
        source: what drove it.
        pose_seq: number of the pose shown; 0 before the first.
        pose_timestamp_us: when that pose was captured, on the client's clock; 0 before the first.
        pose_received_us: when it was parsed; 0 before the first.
        finished_us: when the frame was complete.
    """

    seq: int
    timestamp_us: int
    image: NDArray[np.uint8]
    source: MotionSource
    pose_seq: int
    pose_timestamp_us: int
    pose_received_us: int
    finished_us: int


class Watcher:
    """An asynchronous iterator over a session's finished frames: always the newest, each at most once.

    It outlives the session's streams and ends with the session. Used on the service's event loop only.

    >>> with session.watch() as frames:
    ...     async for frame in frames:
    ...         show(frame.image)
    """

    def __init__(self, on_close: Callable[[Watcher], None]) -> None:
        self._on_close = on_close
        self._latest: Latest[WatchedFrame] = Latest()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        return self._latest.dropped

    def put(self, frame: WatchedFrame) -> None:
        """A frame is finished; it replaces one that still waits."""
        self._latest.put(frame)
        self._changed.set()

    def close(self) -> None:
        """Stops watching: iteration ends. Idempotent."""
        if not self._closed:
            self._closed = True
            self._latest.take()
            self._changed.set()
            self._on_close(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchedFrame:
        """The newest frame that was not taken yet, when there is one."""
        while not self._closed:
            frame = self._latest.take()
            if frame is not None:
                return frame
            self._changed.clear()
            await self._changed.wait()
        raise StopAsyncIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
