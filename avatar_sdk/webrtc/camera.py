"""A peer's camera drives a session: pictures → MediaPipe → poses."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import structlog
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame
from avatar_client.errors import AvatarError
from avatar_client.pose import Pose
from avatar_client.tracking import PoseTracker
from numpy.typing import NDArray

from avatar_sdk.encode import Encoding
from avatar_sdk.pacing import Latest
from avatar_sdk.session import LiveSession, LiveStream, SentFrame, StreamSettings, now_us

log = structlog.get_logger(__name__)

MOST_SIDE_PX: Final = 640
"""MediaPipe looks at 192 pixels of a face; larger pictures only take longer to convert."""
LEARNING: Final = 0.05
"""Share of each new interval between pictures in the estimated one."""


class CameraDriver:
    """Tracks the newest picture of a camera track, one at a time; those that come meanwhile replace each other.

    It is the session's stream: frames are acknowledged as they are made, for other peers look at them.

    Attributes:
        tracked, dropped: pictures so far.
        interval_us: estimated time between two pictures. aiortc hands a picture over when the next one begins, so
            that much has passed since its last packet came. Unit: microseconds.
    """

    def __init__(self, live: LiveSession) -> None:
        self.tracked = 0
        self.interval_us = 33_333.0
        self._live = live
        self._latest: Latest[tuple[VideoFrame, int]] = Latest()
        self._arrived = asyncio.Event()
        self._ended = False
        self._stream: LiveStream | None = None
        self._tracker: PoseTracker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="camera")

    @property
    def dropped(self) -> int:
        """Pictures that were replaced before they were looked at."""
        return self._latest.dropped

    async def open(self) -> None:
        """Becomes the session's stream and loads the tracker; `close` must follow.

        Raises:
            SessionBusyError: another stream drives the session.
            SessionNotFoundError: the session has ended.
            MissingDependencyError: there is no MediaPipe.
        """
        loop = asyncio.get_running_loop()
        self._stream, _ = await self._live.attach(StreamSettings(encoding=Encoding.RGB))
        self._tasks.append(loop.create_task(self._acknowledge(self._stream), name="camera frames"))
        self._tracker = await loop.run_in_executor(self._thread, PoseTracker)

    def start(self, track: MediaStreamTrack) -> None:
        """Drives with the pictures of `track` from now on, until it or the session ends."""
        assert self._tracker is not None, "open the driver first"
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._take(track), name="camera pictures"))
        self._tasks.append(loop.create_task(self._drive(self._tracker), name="camera poses"))

    async def close(self) -> None:
        """Stops driving; the session stays for its resume window. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._stream is not None:
            self._live.detach(self._stream)
            self._stream = None
        if self._tracker is not None:
            self._thread.submit(self._tracker.close)
            self._tracker = None
        self._thread.shutdown(wait=False)

    async def _drive(self, tracker: PoseTracker) -> None:
        loop, core = asyncio.get_running_loop(), self._live.core
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._ended:
                return
            taken = self._latest.take()
            if taken is None:
                continue
            pose = await loop.run_in_executor(self._thread, _track, tracker, *taken)
            now = now_us()
            self.tracked += 1
            core.heard(now)
            core.receive_pose(self.tracked, pose, now)
            self._live.touch()

    async def _take(self, track: MediaStreamTrack) -> None:
        """Takes every picture off aiortc's own queue, which has no bound."""
        last_us = None
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                now = now_us()
                if last_us is not None:
                    self.interval_us += LEARNING * (min(now - last_us, 100_000) - self.interval_us)
                last_us = now
                if self._latest:
                    self._live.core.pose_superseded()
                self._latest.put((frame, now))
                self._arrived.set()
        except MediaStreamError:
            self._end()

    async def _acknowledge(self, stream: LiveStream) -> None:
        """Reads what the session says, so that it goes on generating."""
        try:
            while (outgoing := await stream.next()) is not None:
                if isinstance(outgoing, SentFrame):
                    self._live.core.acknowledge(outgoing.plan.seq, now_us())
        except AvatarError as error:
            log.warning("a camera drives its session no longer", reason=error.reason, error=error.message)
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._arrived.set()


def _track(tracker: PoseTracker, frame: VideoFrame, arrived_us: int) -> Pose:
    shrink = min(1.0, MOST_SIDE_PX / max(frame.width, frame.height))
    small = frame.reformat(round(frame.width * shrink), round(frame.height * shrink), "rgb24")
    image: NDArray[np.uint8] = small.to_ndarray().astype(np.uint8, copy=False)
    return tracker.track(image, arrived_us)
