"""What the service tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final
from weakref import WeakKeyDictionary
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from avatar_sdk.session import CloseReason, LiveSession, SentFrame, Sessions

STAGES: Final = ("queue", "motion", "warp", "generator", "decode", "composite", "encode")
BUCKETS_S: Final = (0.001, 0.002, 0.004, 0.008, 0.012, 0.016, 0.024, 0.032, 0.048, 0.064, 0.08, 0.12, 0.2, 0.5, 1.0)


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frames = Counter("avatar_frames", "Frames sent.", ["source"], registry=self.registry)
        self._stage = Histogram(
            "avatar_stage_seconds", "Time of one stage.", ["stage"], buckets=BUCKETS_S, registry=self.registry
        )
        self._pose_to_frame = Histogram(
            "avatar_pose_to_frame_seconds",
            "From the parsed pose to just before its frame is written; new poses only.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._sessions = Gauge("avatar_sessions", "Live sessions.", registry=self.registry)
        self._streams = Gauge("avatar_streams", "Open streams.", ["transport"], registry=self.registry)
        self._free = Gauge("avatar_free_slots", "Slots nobody holds.", registry=self.registry)
        self._errors = Counter("avatar_errors", "Calls that ended with an error.", ["reason"], registry=self.registry)
        self._ended = Counter("avatar_sessions_ended", "Sessions that ended.", ["reason"], registry=self.registry)
        self._poses_dropped = Counter("avatar_poses_dropped", "Poses that drove no frame.", registry=self.registry)
        self._frames_dropped = Counter(
            "avatar_frames_dropped", "Frames made for a client that was not ready for them.", registry=self.registry
        )
        self._web_open = Gauge("avatar_web_connections", "Open connections to the web port.", registry=self.registry)
        self._web_refused = Gauge(
            "avatar_web_connections_refused", "Connections to the web port that were too many.", registry=self.registry
        )
        self._counted: WeakKeyDictionary[LiveSession, tuple[int, int]] = WeakKeyDictionary()
        self._http: tuple[WSGIServer, Thread] | None = None
        self._stages = {stage: self._stage.labels(stage) for stage in STAGES}

    def watch(self, sessions: Sessions) -> None:
        """Reads the gauges from `sessions` whenever they are asked for."""
        self._sessions.set_function(lambda: len(sessions))
        self._free.set_function(lambda: sessions.engine.free_slots)

    def watch_web(self, opened: Callable[[], int], refused: Callable[[], int]) -> None:
        """Asks for the web port's connections, open and refused since it started, whenever the gauges are read."""
        self._web_open.set_function(opened)
        self._web_refused.set_function(refused)

    def frame(self, frame: SentFrame) -> None:
        """A frame was made."""
        self._frames.labels(frame.source.value).inc()
        for stage, spent_us in frame.timings_us.items():
            self._stages[stage].observe(max(0, spent_us) / 1e6)

    def pose_to_frame(self, spent_us: int) -> None:
        """A frame of a new pose is about to be written."""
        self._pose_to_frame.observe(spent_us / 1e6)

    @contextmanager
    def stream(self, transport: str) -> Iterator[None]:
        """A stream is open for as long as the block."""
        gauge = self._streams.labels(transport)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def dropped(self, live: LiveSession) -> None:
        """Counts what `live` dropped since the last call."""
        poses, frames = self._counted.get(live, (0, 0))
        now = live.core.poses_dropped, live.core.frames_dropped
        self._poses_dropped.inc(now[0] - poses)
        self._frames_dropped.inc(now[1] - frames)
        self._counted[live] = now

    def ended(self, reason: CloseReason) -> None:
        """A session ended."""
        self._ended.labels(reason.value).inc()

    def error(self, reason: str) -> None:
        """A call ended with an error."""
        self._errors.labels(reason).inc()

    def serve(self, port: int) -> int:
        """Answers scrapes on loopback; returns the port."""
        self._http = start_http_server(port, addr="127.0.0.1", registry=self.registry)
        return int(self._http[0].server_port)

    def close(self) -> None:
        """Answers no more."""
        if self._http is not None:
            server, thread = self._http
            server.shutdown()
            server.server_close()
            thread.join()
