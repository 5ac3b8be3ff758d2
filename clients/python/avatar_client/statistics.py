"""Live figures of a session."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

_WINDOW: Final = 240
"""Latencies kept: ten seconds of frames."""
_FPS_WINDOW_US: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency over the last ten seconds of frames. Unit: milliseconds."""

    p50_ms: float
    p95_ms: float

    @classmethod
    def of(cls, samples_us: deque[int]) -> Self | None:
        """None when nothing was measured yet."""
        if not samples_us:
            return None
        p50, p95 = np.percentile(np.fromiter(samples_us, np.float64), (50, 95)) / 1000
        return cls(float(p50), float(p95))


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """A snapshot.

    Attributes:
        fps: frames received a second, over the last 5 s.
        shown_fps: frames taken by the program a second, over the last 5 s.
        frames_received: since the start.
        frames_shown: taken by the program, since the start.
        poses_sent: since the start.
        pose_to_frame: the server's share: from the parsed pose to the frame's write; held poses are left out.
        camera_to_display: from the capture time to the moment the frame was taken, for live poses.
        round_trip_ms: the last ping's. Unit: milliseconds.
        dropped: cause → count. "pose_superseded": replaced by a newer one before it could be sent; "pose_server":
            dropped by the server; "frame_server": not made because this program or the network was late;
            "frame_superseded": received, but a newer one was there first.
        reconnects: streams taken up again.
    """

    fps: float
    shown_fps: float
    frames_received: int
    frames_shown: int
    poses_sent: int
    pose_to_frame: Percentiles | None
    camera_to_display: Percentiles | None
    round_trip_ms: float | None
    dropped: dict[str, int]
    reconnects: int


@dataclass(slots=True)
class StatisticsRecorder:
    """Collects what `SessionStatistics` tells. Times are the caller's monotonic clock."""

    frames_received: int = 0
    frames_shown: int = 0
    poses_sent: int = 0
    poses_superseded: int = 0
    frames_superseded: int = 0
    reconnects: int = 0
    round_trip_us: int = 0
    _received_us: deque[int] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _shown_us: deque[int] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _pose_to_frame_us: deque[int] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _camera_to_display_us: deque[int] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _server: dict[str, int] = field(default_factory=lambda: {"pose_server": 0, "frame_server": 0})
    _earlier_sessions: dict[str, int] = field(default_factory=lambda: {"pose_server": 0, "frame_server": 0})

    def received(self, now_us: int, pose_to_frame_us: int | None, poses_dropped: int, frames_dropped: int) -> None:
        """A frame arrived; `pose_to_frame_us` is None when no new pose drove it."""
        self.frames_received += 1
        self._received_us.append(now_us)
        if pose_to_frame_us is not None:
            self._pose_to_frame_us.append(pose_to_frame_us)
        self._server = {"pose_server": poses_dropped, "frame_server": frames_dropped}

    def shown(self, now_us: int, camera_to_display_us: int | None) -> None:
        """A frame was taken by the program."""
        self.frames_shown += 1
        self._shown_us.append(now_us)
        if camera_to_display_us is not None:
            self._camera_to_display_us.append(camera_to_display_us)

    def session_changed(self) -> None:
        """The server counts from zero again."""
        for cause, count in self._server.items():
            self._earlier_sessions[cause] += count
        self._server = dict.fromkeys(self._server, 0)

    def snapshot(self, now_us: int) -> SessionStatistics:
        """The figures now."""
        dropped = {cause: count + self._earlier_sessions[cause] for cause, count in self._server.items()}
        dropped |= {"pose_superseded": self.poses_superseded, "frame_superseded": self.frames_superseded}
        return SessionStatistics(
            fps=_rate(self._received_us, now_us),
            shown_fps=_rate(self._shown_us, now_us),
            frames_received=self.frames_received,
            frames_shown=self.frames_shown,
            poses_sent=self.poses_sent,
            pose_to_frame=Percentiles.of(self._pose_to_frame_us),
            camera_to_display=Percentiles.of(self._camera_to_display_us),
            round_trip_ms=self.round_trip_us / 1000 if self.round_trip_us else None,
            dropped=dropped,
            reconnects=self.reconnects,
        )


def _rate(times_us: deque[int], now_us: int) -> float:
    recent = [time_us for time_us in times_us if now_us - time_us <= _FPS_WINDOW_US]
    span_us = now_us - recent[0] if recent else 0
    return (len(recent) - 1) * 1e6 / span_us if span_us > 0 else 0.0
