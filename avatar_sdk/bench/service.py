"""The service in real time: a client of its own process, a real socket, poses at a camera's pace."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import avatar_client
import numpy as np
from avatar_client import Frame, MotionSource, SyncAvatarClient, SyncAvatarSession
from avatar_client.clock import monotonic_us
from avatar_client.errors import TimeoutExceededError
from avatar_client.pose_file import PoseReader

from avatar_sdk.local_server import LocalServer
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES, PoseFeed, forth_and_back

WARM_UP_S: Final = 3.0
FIRST_FRAMES: Final = 3
FRAME_TIMEOUT_S: Final = 20.0
FULL_SECOND: Final = 24
"""Generated frames that a good second has."""


@dataclass(frozen=True)
class Paced:
    """The service in real time. Latencies in milliseconds, without frames that show no new pose.

    Attributes:
        fps: generated frames a second that reached the client.
        seconds: how long was measured.
        full_seconds_share: share of the seconds with at least 24 generated frames. Range: [0, 1].
        pose_to_frame_ms: from the parsed pose to just before the write, in the server.
        camera_to_display_ms: from the pose's capture to the decoded picture, in the client.
        first_frame_ms: from opening a session on a warm server to its first frame.
        dropped: cause → count.
        sources: what the frames were driven by → count.
        stages_ms: stage → median time in the server.
        rss_mib: memory of the server after the warm-up and at the end.
    """

    fps: float
    seconds: float
    full_seconds_share: float
    pose_to_frame_ms: dict[str, float]
    camera_to_display_ms: dict[str, float]
    first_frame_ms: float
    dropped: dict[str, int]
    sources: dict[str, int]
    stages_ms: dict[str, float]
    rss_mib: dict[str, float]

    def __str__(self) -> str:
        def spread(values: dict[str, float]) -> str:
            return "  ".join(f"{name} {value:.1f}" for name, value in values.items())

        dropped = ", ".join(f"{cause} {count}" for cause, count in self.dropped.items())
        return "\n".join(
            [
                f"  paced            {self.fps:.2f} generated frames/s over {self.seconds:.0f} s, "
                f"at least {FULL_SECOND} in {self.full_seconds_share:.1%} of the seconds",
                f"  pose → frame     {spread(self.pose_to_frame_ms)} ms",
                f"  camera → display {spread(self.camera_to_display_ms)} ms",
                f"  first frame      {self.first_frame_ms:.0f} ms (warm)",
                f"  frames by cause  {', '.join(f'{name} {count}' for name, count in self.sources.items())}",
                f"  dropped          {dropped}",
                f"  in the server    {spread(self.stages_ms)} ms",
                f"  server memory    {self.rss_mib['start']:.0f} → {self.rss_mib['end']:.0f} MiB",
            ]
        )


@dataclass
class Collected:
    """What the frames of a run told."""

    generated_us: list[int] = field(default_factory=list)
    pose_to_frame_us: list[int] = field(default_factory=list)
    camera_to_display_us: list[int] = field(default_factory=list)
    stages_us: dict[str, list[int]] = field(default_factory=dict)
    sources: Counter[str] = field(default_factory=Counter)

    def add(self, frame: Frame, displayed_us: int) -> None:
        """One more frame."""
        self.sources[frame.source.value] += 1
        if frame.source is not MotionSource.POSE:
            return
        self.generated_us.append(frame.received_us)
        self.pose_to_frame_us.append(frame.timings.pose_to_frame_us)
        self.camera_to_display_us.append(displayed_us - frame.pose_timestamp_us)
        for stage in ("queue", "motion", "warp", "generator", "decode", "composite", "encode"):
            self.stages_us.setdefault(stage, []).append(getattr(frame.timings, f"{stage}_us"))


def run_paced(server: LocalServer, seconds: float, rate_hz: float, say: Callable[[str], None]) -> Paced:
    """Drives one avatar with the sample poses for `seconds`.

    Raises:
        TimeoutExceededError: the service makes no frames.
        AvatarError: whatever the service raised.
    """
    poses = PoseReader(SAMPLE_POSES)
    with avatar_client.connect(server.target) as client:
        first_frame_ms = _first_frame_ms(client, poses, rate_hz)
        collected = Collected()
        with (
            client.session(SAMPLE_PORTRAIT, consent=True) as session,
            PoseFeed(session.send_pose, forth_and_back(poses), rate_hz),
        ):
            for _ in _frames(session, WARM_UP_S):
                pass
            rss_start = server.resident_bytes()
            before = session.statistics.dropped
            start_us = monotonic_us()
            told_s = 60.0
            for frame in _frames(session, seconds):
                _ = frame.image
                collected.add(frame, monotonic_us())
                if (monotonic_us() - start_us) / 1e6 >= told_s:
                    say(f"  {told_s:.0f} s: {len(collected.generated_us)} frames")
                    told_s += 60.0
            end_us = monotonic_us()
            dropped = {cause: count - before.get(cause, 0) for cause, count in session.statistics.dropped.items()}
            rss_end = server.resident_bytes()
    if not collected.generated_us:
        raise TimeoutExceededError(f"the service generated no frame in {seconds:g} s; `avatar doctor` may say why")
    return Paced(
        fps=round(len(collected.generated_us) / ((end_us - start_us) / 1e6), 2),
        seconds=round((end_us - start_us) / 1e6, 1),
        full_seconds_share=round(full_seconds_share(collected.generated_us, end_us), 4),
        pose_to_frame_ms=percentiles_ms(collected.pose_to_frame_us),
        camera_to_display_ms=percentiles_ms(collected.camera_to_display_us),
        first_frame_ms=round(first_frame_ms, 1),
        dropped=dropped,
        sources=dict(collected.sources),
        stages_ms={name: round(float(np.median(spent)) / 1000, 2) for name, spent in collected.stages_us.items()},
        rss_mib={"start": round(rss_start / 2**20, 1), "end": round(rss_end / 2**20, 1)},
    )


def full_seconds_share(times_us: list[int], end_us: int) -> float:
    """Share of whole seconds that hold at least 24 of the times, increasing, in microseconds.

    The seconds begin half a frame before the first time, so that an even 24 fps never falls on their borders.
    """
    if not times_us:
        return 0.0
    start_us = times_us[0] - 500_000 // FULL_SECOND
    seconds = (end_us - start_us) // 1_000_000
    if seconds < 1:
        return 0.0
    counts = np.bincount((np.array(times_us) - start_us) // 1_000_000, minlength=seconds)[:seconds]
    return float((counts >= FULL_SECOND).mean())


def _frames(session: SyncAvatarSession, seconds: float) -> Iterator[Frame]:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        frame = session.next_frame(FRAME_TIMEOUT_S)
        if frame is None:
            return
        yield frame


def _first_frame_ms(client: SyncAvatarClient, poses: PoseReader, rate_hz: float) -> float:
    """Median time from opening a session to its first frame; the first of them only warms the server up."""
    spent_ms = []
    for _ in range(1 + FIRST_FRAMES):
        started = time.perf_counter()
        with (
            client.session(SAMPLE_PORTRAIT, consent=True) as session,
            PoseFeed(session.send_pose, forth_and_back(poses), rate_hz),
        ):
            session.next_frame(FRAME_TIMEOUT_S)
            spent_ms.append(1000 * (time.perf_counter() - started))
    return float(np.median(spent_ms[1:]))


def percentiles_ms(samples_us: list[int]) -> dict[str, float]:
    """Median, 95th and 99th percentile. Unit: milliseconds."""
    values = np.percentile(samples_us, (50, 95, 99)) / 1000
    return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}
