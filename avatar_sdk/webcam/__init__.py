"""A live avatar on this machine: camera, tracking, service, window.

Tracking has a thread, the service a process of its own; this thread shows frames and reads keys.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client import EventKind, Frame, MotionSource, SessionEvent, SessionOptions, SyncAvatarSession
from avatar_client.capture import CaptureConfig, find_camera, open_source
from avatar_client.clock import monotonic_us
from avatar_client.errors import AvatarError, TimeoutExceededError
from avatar_client.tracking import PoseTracker, TrackerConfig
from numpy.typing import NDArray

from avatar_sdk.webcam.outlet import Outlet
from avatar_sdk.webcam.recorder import Recorder
from avatar_sdk.webcam.window import HELP, Key, Window, shown

FRAME_WAIT_S: Final = 0.25
"""Longest wait for a frame before keys are looked at again."""
TOLD_EVERY_S: Final = 2.0
FIGURES_EVERY_S: Final = 0.25
KEPT: Final = 240


@dataclass(frozen=True)
class WebcamConfig:
    """What is shown.

    Attributes:
        portraits: photos; the key `n` goes from one to the next.
        camera: number or part of the name of a camera, or a video file that stands in for one.
        options: how the avatar looks and moves.
        body: whether shoulders are tracked too.
        mirror: whether the picture is shown as in a mirror.
        window: whether there is one; without it the figures are printed.
        record: video file to record into from the start, or None.
        seconds: when to stop, or None for the end of the video or the key `q`. Unit: seconds.
    """

    portraits: tuple[Path, ...]
    camera: str = "0"
    options: SessionOptions = field(default_factory=SessionOptions)
    body: bool = False
    mirror: bool = True
    window: bool = True
    record: Path | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class WebcamReport:
    """How it went.

    Attributes:
        seconds: from the first frame to the last.
        fps: generated frames shown a second; held and idle ones are not counted.
        tracked_fps: camera images tracked a second.
        camera_to_display_ms: "p50", "p95" from an image's capture to the frame's display; None without frames.
        pose_to_frame_ms: the same from the parsed pose to the frame's write, in the server.
        dropped: cause → count.
        delay_ms: by how much the microphone must be delayed to go with the virtual camera; None without one.
    """

    seconds: float
    fps: float
    tracked_fps: float
    camera_to_display_ms: dict[str, float] | None
    pose_to_frame_ms: dict[str, float] | None
    dropped: dict[str, int]
    delay_ms: float | None = None

    def __str__(self) -> str:
        def spread(values: dict[str, float] | None) -> str:
            return "–" if values is None else f"p50 {values['p50']:.0f} p95 {values['p95']:.0f} ms"

        dropped = ", ".join(f"{cause} {count}" for cause, count in self.dropped.items() if count) or "nothing"
        return (
            f"{self.fps:.1f} generated frames/s over {self.seconds:.1f} s ({self.tracked_fps:.1f} images/s tracked), "
            f"camera → display {spread(self.camera_to_display_ms)}, pose → frame {spread(self.pose_to_frame_ms)}, "
            f"dropped: {dropped}{_microphone(self.delay_ms)}"
        )


class DriverThread:
    """Camera → tracker → session, as fast as images come."""

    def __init__(self, camera: str, body: bool, session: SyncAvatarSession) -> None:
        self.image: NDArray[np.uint8] | None = None
        self.error: AvatarError | None = None
        self._tracked_us: list[int] = []
        self._stopped = threading.Event()
        self._camera, self._body, self._session = camera, body, session
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether there are no more images."""
        return not self._thread.is_alive()

    @property
    def fps(self) -> float:
        """Images tracked a second."""
        times_us = self._tracked_us
        return (len(times_us) - 1) * 1e6 / (times_us[-1] - times_us[0]) if len(times_us) > 1 else 0.0

    def close(self) -> None:
        """Stops after the image in hand."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with (
                PoseTracker(TrackerConfig(body=self._body)) as tracker,
                open_source(self._camera, CaptureConfig(realtime=True)) as source,
            ):
                for image, timestamp_us in source:
                    self._session.send_pose(tracker.track(image, timestamp_us))
                    self.image = image
                    self._tracked_us.append(monotonic_us())
                    if self._stopped.is_set():
                        return
        except AvatarError as error:
            self.error = error


class Webcam:
    """One run in front of a camera."""

    def __init__(
        self,
        session: SyncAvatarSession,
        config: WebcamConfig,
        say: Callable[[str], None],
        outlet: Outlet | None = None,
    ) -> None:
        """`say` gets events, and the figures where there is no window; `outlet` is a virtual camera for the frames."""
        self.config = config
        self._outlet = outlet
        self._session = session
        self._say = say
        self._mirror = config.mirror
        self._portrait = 0
        self._paused = False
        self._recorder: Recorder | None = None
        self._displayed_us: list[int] = []
        self._camera_to_display_us: list[int] = []
        self._pose_to_frame_us: list[int] = []
        self._recent: deque[int] = deque(maxlen=KEPT)
        self._lines: list[str] = []
        self._lines_s = self._told_s = 0.0

    def run(self) -> WebcamReport:
        """Shows the avatar until the source ends, time is up or somebody quits.

        Raises:
            CameraError: the camera is missing, taken or falls silent.
            InvalidVideoError: the video file or the recording fails.
            AvatarError: the session broke for good.
        """
        config = self.config
        window = Window() if config.window else None
        driver = DriverThread(config.camera, config.body, self._session)
        started_s = time.monotonic()
        try:
            if config.record:
                self._record(config.record)
            if window:
                self._say(HELP)
            while config.seconds is None or time.monotonic() - started_s < config.seconds:
                frame = self._next_frame()
                if frame is not None:
                    self._show(frame, driver, window)
                elif driver.finished or self._session.close_reason.value != "unspecified":
                    break
                if window and not self._obey(window.key()):
                    break
                if driver.finished and (frame is None or frame.source is not MotionSource.POSE):
                    break
        finally:
            driver.close()
            if self._recorder:
                self._stop_recording()
            if window:
                window.close()
        if driver.error is not None:
            raise driver.error
        return self._report(driver.fps)

    def _next_frame(self) -> Frame | None:
        try:
            return self._session.next_frame(FRAME_WAIT_S)
        except TimeoutExceededError:
            return None

    def _show(self, frame: Frame, driver: DriverThread, window: Window | None) -> None:
        image = frame.image
        self._figures(driver)
        if window:
            seen = driver.image
            window.show(shown(image, self._mirror), self._lines, None if seen is None else shown(seen, self._mirror))
        if self._outlet:
            self._outlet.show(image, frame.pose_timestamp_us if frame.source is MotionSource.POSE else 0)
            if trouble := self._outlet.take_trouble():
                self._say(trouble.message)
        displayed_us = monotonic_us()
        if frame.source is MotionSource.POSE:
            self._displayed_us.append(displayed_us)
            self._recent.append(displayed_us)
            self._camera_to_display_us.append(displayed_us - frame.pose_timestamp_us)
            self._pose_to_frame_us.append(frame.timings.pose_to_frame_us)
        if self._recorder:
            self._recorder.add(image, frame.received_us)

    def _figures(self, driver: DriverThread) -> None:
        """Renews the text over the picture, or prints it, now and then."""
        now_s = time.monotonic()
        if now_s - self._lines_s < FIGURES_EVERY_S:
            return
        self._lines_s = now_s
        late = _spread_ms(self._camera_to_display_us[-KEPT:])
        server = _spread_ms(self._pose_to_frame_us[-KEPT:])
        dropped = sum(self._session.statistics.dropped.values())
        span_us = self._recent[-1] - self._recent[0] if len(self._recent) > 1 else 0
        self._lines = [
            f"{(len(self._recent) - 1) * 1e6 / span_us if span_us else 0:.1f} fps  {self._session.state.value}",
            f"camera>display {late['p50']:.0f}/{late['p95']:.0f} ms" if late else "camera>display -",
            f"pose>frame {server['p50']:.0f}/{server['p95']:.0f} ms  dropped {dropped}" if server else "pose>frame -",
        ]
        if self._outlet:
            self._lines.append(f"virtual camera {self._outlet.camera.device}{_microphone(self._outlet.delay_ms)}")
        if self._recorder:
            self._lines.append(f"recording {self._recorder.path.name}")
        if not self.config.window and now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            self._say("  ".join(self._lines))

    def _obey(self, key: Key | None) -> bool:
        """Does what a key asks for; False to stop."""
        match key:
            case Key.QUIT:
                return False
            case Key.CALIBRATE:
                self._session.calibrate()
                self._say("look straight ahead for a second, without expression …")
            case Key.MIRROR:
                self._mirror = not self._mirror
            case Key.PAUSE:
                self._paused = not self._paused
                self._session.set_paused(self._paused)
            case Key.NEXT_PORTRAIT:
                self._next_portrait()
            case Key.RECORD if self._recorder:
                self._stop_recording()
            case Key.RECORD:
                self._record(Path(f"avatar-{datetime.now():%Y%m%d-%H%M%S}.mp4"))
        return True

    def _next_portrait(self) -> None:
        self._portrait = (self._portrait + 1) % len(self.config.portraits)
        path = self.config.portraits[self._portrait]
        try:
            self._session.swap_portrait(path, consent=True)
        except AvatarError as error:  # the old portrait stays
            self._say(f"{path}: {error.message}")

    def _record(self, path: Path) -> None:
        self._recorder = Recorder(path)
        self._say(f"recording {path}")

    def _stop_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        assert recorder is not None
        recorder.close()
        self._say(f"{recorder.path} is complete" + (f" ({recorder.dropped} frames left out)" * (recorder.dropped > 0)))

    def _report(self, tracked_fps: float) -> WebcamReport:
        times_us = self._displayed_us
        seconds = (times_us[-1] - times_us[0]) / 1e6 if len(times_us) > 1 else 0.0
        return WebcamReport(
            seconds=seconds,
            fps=(len(times_us) - 1) / seconds if seconds else 0.0,
            tracked_fps=tracked_fps,
            camera_to_display_ms=_spread_ms(self._camera_to_display_us),
            pose_to_frame_ms=_spread_ms(self._pose_to_frame_us),
            dropped=self._session.statistics.dropped,
            delay_ms=self._outlet.delay_ms if self._outlet else None,
        )


def check_camera(spec: str) -> None:
    """Looks whether there is such a camera or file, before anything slow is started.

    Raises:
        CameraError: neither a camera nor a file.
    """
    if not Path(spec).is_file():
        find_camera(spec)


def told(event: SessionEvent) -> str | None:
    """One line about an event; None for those that people at the camera need not know."""
    if event.kind in (EventKind.STATE_CHANGED, EventKind.CLOSED):
        return None
    return f"{event.kind.value.replace('_', ' ')}{': ' if event.message else ''}{event.message}"


def _microphone(delay_ms: float | None) -> str:
    return "" if delay_ms is None else f", delay_ms {delay_ms:.0f} for the microphone"


def _spread_ms(samples_us: list[int]) -> dict[str, float] | None:
    if not samples_us:
        return None
    p50, p95 = np.percentile(samples_us, (50, 95)) / 1000
    return {"p50": float(p50), "p95": float(p95)}
