"""Recorded poses played as if a driver sat in front of a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from avatar_client.clock import monotonic_us
from avatar_client.pose import Pose

SAMPLE_PORTRAIT: Final = Path(__file__).parent / "assets/sample_portrait.png"
SAMPLE_POSES: Final = Path(__file__).parent / "assets/sample.poses"


def forth_and_back(poses: Sequence[Pose]) -> Iterator[Pose]:
    """The poses from first to last, back to the first, and so on, without a jump and without an end."""
    assert len(poses) > 1
    while True:
        yield from (poses[i] for i in range(len(poses) - 1))
        yield from (poses[i] for i in range(len(poses) - 1, 0, -1))


class PoseFeed:
    """Gives poses to `send` at an even rate, on a thread of its own, with this machine's monotonic time.

    >>> with PoseFeed(session.send_pose, forth_and_back(poses), rate_hz=30):
    ...     for frame in session: ...
    """

    def __init__(self, send: Callable[[Pose], object], poses: Iterator[Pose], rate_hz: float) -> None:
        self.sent = 0
        self._send = send
        self._poses = poses
        self._interval_s = 1 / rate_hz
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pose feed", daemon=True)

    @property
    def finished(self) -> bool:
        """Whether the last pose was sent."""
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        due_s = time.monotonic()
        for pose in self._poses:
            if self._stopped.wait(max(0.0, due_s - time.monotonic())):
                return
            self._send(replace(pose, timestamp_us=monotonic_us()))
            self.sent += 1
            due_s += self._interval_s
