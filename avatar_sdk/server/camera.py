"""Poses from a client's camera pictures, for clients that cannot track: MediaPipe on a thread of the stream's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import simplejpeg
from avatar_client.errors import AvatarError, InvalidPoseError
from avatar_client.pose import Pose
from avatar_client.tracking import PoseTracker
from numpy.typing import NDArray

from avatar_sdk.pacing import Latest

MOST_SIDE_PX: Final = 1280


@dataclass(frozen=True)
class CameraPicture:
    """One picture on its way to the tracker. `timestamp_us` is its capture time on the client's clock."""

    seq: int
    timestamp_us: int
    jpeg: bytes


def decode_picture(jpeg: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB in [0, 255]. The header is read first: a small file can claim a huge picture.

    Raises:
        InvalidPoseError: it is no JPEG, damaged, or larger than 1280 × 1280 pixels.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise InvalidPoseError(
            f"camera.image has {len(jpeg)} bytes and is no JPEG; send JPEG files", field="camera.image"
        ) from error
    if max(height, width) > MOST_SIDE_PX:
        raise InvalidPoseError(
            f"camera.image has {width}×{height} pixels; at most {MOST_SIDE_PX} a side are allowed, 640×480 is plenty",
            field="camera.image",
        )
    try:
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(jpeg, colorspace="RGB", fastdct=True)
    except ValueError as error:
        raise InvalidPoseError(f"camera.image cannot be decoded: {error}", field="camera.image") from error
    return image


class CameraTracking:
    """Tracks the driver of one stream. Only the newest picture waits.

    `on_pose` and `on_error` are called on the event loop, one of them for every picture that was looked at.
    """

    def __init__(self, on_pose: Callable[[int, Pose], None], on_error: Callable[[AvatarError], None]) -> None:
        self._on_pose = on_pose
        self._on_error = on_error
        self._waiting: Latest[CameraPicture] = Latest()
        self._changed = asyncio.Event()
        self._tracker: PoseTracker | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="camera")
        self._working: asyncio.Task[None] | None = None

    def put(self, picture: CameraPicture) -> bool:
        """A picture came. Returns False when it replaced one that nobody has looked at."""
        lost = self._waiting.dropped
        self._waiting.put(picture)
        self._changed.set()
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="camera tracking")
        return self._waiting.dropped == lost

    def close(self) -> None:
        """Nothing is called any more; the thread ends with the picture it is at. Idempotent."""
        if self._working is not None:
            self._working.cancel()
            self._working = None
            self._thread.submit(self._end)
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            picture = self._waiting.take()
            if picture is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                pose = await loop.run_in_executor(self._thread, self._track, picture)
            except AvatarError as error:
                self._on_error(error)
            else:
                self._on_pose(picture.seq, pose)

    def _track(self, picture: CameraPicture) -> Pose:
        image = decode_picture(picture.jpeg)
        if self._tracker is None:
            self._tracker = PoseTracker()
        return self._tracker.track(image, picture.timestamp_us)

    def _end(self) -> None:
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None
