"""Offline rendering: a portrait and a driver in, a video out, through the same step as the service."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from avatar_client.errors import InvalidConfigError, InvalidVideoError
from avatar_client.pose import Pose
from avatar_client.tracking import TrackerConfig
from numpy.typing import NDArray

from avatar_sdk.ahead import ahead
from avatar_sdk.badge import draw_badge
from avatar_sdk.driver import Driver, open_driver
from avatar_sdk.engine import Avatar, Engine, EngineConfig, Picture
from avatar_sdk.motion import MotionConfig, MotionSource
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.sheet import ContactSheet
from avatar_sdk.timeline import GridTimeline, SourceTimeline, Tick, Timeline
from avatar_sdk.video import QUALITIES, VideoConfig, VideoWriter

Pixels = NDArray[np.uint8]

TRACKED_AHEAD: Final = 8
"""Frames the tracker may be ahead of the renderer, which runs on another thread."""


@dataclass(frozen=True)
class AnimateConfig:
    """How a driver is rendered.

    Attributes:
        fps: output rate, or None for exactly one output frame per driver frame. Unit: frames per second.
        interpolate: whether a frame between two poses moves between them instead of showing the earlier one.
        portrait: output size, framing and background.
        motion: neutral mode, smoothing and gains.
        neutral_frame: the driver's frame that is the neutral pose, counted from 0; overrides `motion.neutral`.
        body: whether the shoulders of a video's driver are tracked too.
        crf: see `VideoConfig`.
        side_by_side: whether the driver is shown beside the avatar, with landmarks.
        badge: whether the visible "AI" mark is drawn.
        seed: of the generator's noise.
    """

    fps: float | None = 24.0
    interpolate: bool = False
    portrait: PortraitConfig = field(default_factory=PortraitConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    neutral_frame: int | None = None
    body: bool = False
    crf: int = QUALITIES["good"]
    side_by_side: bool = False
    badge: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for a rate or quality out of range."""
        VideoConfig(crf=self.crf)
        if self.fps is not None and not 1 <= self.fps <= 120:
            raise InvalidConfigError(f"fps is {self.fps:g}; it must be in [1, 120], or `source`", field="fps")


@dataclass(frozen=True)
class Report:
    """What was rendered.

    Attributes:
        frames: frames in the video.
        fps: their nominal rate.
        width_px, height_px: size of the avatar's picture.
        duration_s: length of the video.
        affine: 2×3, portrait pixels → output pixels; a pixel's index is its centre.
        driver_frames: frames of the driver that were read.
        driver_frames_without_face: those in which no face was found; the avatar idles.
        dropped_frames: driver frames that no output frame shows.
        repeated_frames: output frames made without a new pose.
        rendered_fps: frames per second of rendering.
        timings_ms: stage → {"median", "p95"} per frame.
        faces_in_portrait: faces found in the photo; the largest is used.
        interrupted: whether it was stopped before the driver's end.
    """

    portrait: str
    driver: str
    output: str
    model: str
    frames: int
    fps: float
    width_px: int
    height_px: int
    duration_s: float
    affine: list[list[float]]
    driver_frames: int
    driver_frames_without_face: int
    dropped_frames: int
    repeated_frames: int
    rendered_fps: float
    timings_ms: dict[str, dict[str, float]]
    faces_in_portrait: int
    interrupted: bool

    def save(self, path: Path) -> None:
        """Writes the report as JSON.

        Raises:
            InvalidVideoError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        except OSError as error:
            raise InvalidVideoError(f"the report {path} cannot be written: {error.strerror}") from error


class Rendering:
    """One portrait and one driver, opened and checked.

    >>> with Engine.load() as engine: ...
    >>> rendering = Rendering(engine, Path("me.jpg"), Path("clip.mp4"))
    >>> report = rendering.write(Path("avatar.mp4"))
    """

    def __init__(self, engine: Engine, portrait: Path, driver: Path, config: AnimateConfig | None = None) -> None:
        """Opens both files.

        Raises:
            InvalidPortraitError: the photo cannot be used.
            InvalidVideoError: the driver cannot be read, or its neutral frame shows no face.
        """
        self.config = config or AnimateConfig()
        self.portrait_path = portrait
        self.driver: Driver = open_driver(driver, TrackerConfig(body=self.config.body, face_looks=2))
        self.portrait: Portrait = load_portrait(portrait, self.config.portrait)
        self.neutral: Pose | None = None
        if self.config.neutral_frame is not None:
            self.neutral = self.driver.pose_at(self.config.neutral_frame)
        self._engine = engine

    @property
    def expected_frames(self) -> int:
        """How many frames the video will have, as far as the driver's file tells; 0 = unknown."""
        if self.config.fps is None:
            return self.driver.count
        return round(self.driver.count / self.driver.fps * self.config.fps)

    def write(
        self,
        output: Path,
        *,
        sheet: Path | None = None,
        on_frame: Callable[[int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Report:
        """Renders the whole driver into a video.

        Args:
            output: the mp4 file; its sound is the driver's.
            sheet: where a contact sheet goes, or None.
            on_frame: called with the number of frames written so far.
            stop: set it from elsewhere to end early with a complete file.

        Raises:
            InvalidVideoError: the driver is damaged or never shows a face, or the output cannot be written.
        """
        config = self.config
        timeline: Timeline = SourceTimeline()
        if config.fps is not None:
            timeline = GridTimeline(config.fps, self.driver.interval_us, interpolate=config.interpolate)
        cells = ContactSheet() if sheet else None
        timings_us: dict[str, list[int]] = defaultdict(list)
        started = time.perf_counter()
        with ExitStack() as stack:
            observations = stack.enter_context(ahead(self.driver.observe(), TRACKED_AHEAD))
            avatar = self._engine.open(self.portrait, config.motion, config.seed)
            stack.callback(self._engine.close, avatar)
            if self.neutral is not None:
                avatar.retargeter.set_neutral(avatar.motion, self.neutral)
            video: VideoWriter | None = None
            for tick, image in self._frames(avatar, timeline.ticks(observations), timings_us):
                if video is None:
                    video_config = VideoConfig(
                        config.fps or self.driver.fps,
                        config.crf,
                        audio=self.driver.sound,
                        audio_start_us=tick.time_us,
                    )
                    video = stack.enter_context(VideoWriter(output, video_config))
                before = time.perf_counter_ns()
                video.write(image, tick.time_us)
                timings_us["encode"].append((time.perf_counter_ns() - before) // 1000)
                if cells:
                    cells.add(image)
                if on_frame:
                    on_frame(video.frames)
                if stop and stop.is_set():
                    break
            if not timeline.counts.faces:
                raise InvalidVideoError(
                    f"no face is seen in any of the {timeline.counts.observations} frames of {self.driver.path}; the "
                    "driver's face must be visible, upright and not too small"
                )
        assert video is not None
        if cells and sheet:
            cells.save(sheet)
        return self._report(output, video, timeline, timings_us, time.perf_counter() - started, stop)

    def _frames(
        self, avatar: Avatar, ticks: Iterator[Tick], timings_us: dict[str, list[int]]
    ) -> Iterator[tuple[Tick, Pixels]]:
        """The finished frames, with badge and driver as configured."""
        for tick, picture in self._pictures(avatar, ticks):
            for stage, spent_us in picture.timings_us.items():
                timings_us[stage].append(spent_us)
            if tick.seen.track_us and picture.motion.source is not MotionSource.HELD:
                timings_us["track"].append(tick.seen.track_us)
            image = picture.image
            if self.config.badge:
                draw_badge(image)
            if self.config.side_by_side:
                image = np.hstack([driver_view(tick, image.shape[0], self.driver.aspect), image])
            yield tick, image

    def _pictures(self, avatar: Avatar, ticks: Iterator[Tick]) -> Iterator[tuple[Tick, Picture]]:
        """Each tick with the picture that shows it; a runtime that shows motions late is stepped on at the end."""
        waiting: deque[Tick] = deque()
        delay, time_us = self._engine.runtime.delay, 0

        def rest() -> Iterator[Tick | None]:
            yield from ticks
            yield from [None] * delay

        for made, tick in enumerate(rest()):
            if tick is None and not waiting:
                return
            if tick is not None:
                waiting.append(tick)
                time_us = tick.time_us
            else:
                time_us += self.driver.interval_us
            picture = self._engine.step(avatar, tick.pose if tick else None, time_us)
            if made >= delay:
                yield waiting.popleft(), picture

    def _report(
        self,
        output: Path,
        video: VideoWriter,
        timeline: Timeline,
        timings_us: dict[str, list[int]],
        spent_s: float,
        stop: threading.Event | None,
    ) -> Report:
        counts, height, width = timeline.counts, *self.portrait.image.shape[:2]
        fps = self.config.fps or self.driver.fps
        return Report(
            portrait=str(self.portrait_path),
            driver=str(self.driver.path),
            output=str(output),
            model=self._engine.runtime.name,
            frames=video.frames,
            fps=fps,
            width_px=width,
            height_px=height,
            duration_s=round(video.frames / fps, 3),
            affine=self.portrait.affine.astype(float).tolist(),
            driver_frames=counts.observations,
            driver_frames_without_face=counts.observations - counts.faces,
            dropped_frames=counts.dropped,
            repeated_frames=counts.repeated,
            rendered_fps=round(video.frames / spent_s, 2),
            timings_ms={stage: _spread_ms(spent) for stage, spent in timings_us.items()},
            faces_in_portrait=self.portrait.faces,
            interrupted=bool(stop and stop.is_set()),
        )


def animate(
    portrait: Path, driver: Path, output: Path, config: AnimateConfig | None = None, model: str = "lite"
) -> Report:
    """Renders `driver` (a video or `.poses` file) with the face of `portrait` into the mp4 `output`.

    Raises:
        InvalidPortraitError: the photo cannot be used.
        InvalidVideoError: the driver cannot be read or never shows a face, or the output cannot be written.
        InvalidConfigError: no such model, or an option is out of range.
    """
    engine = Engine.load(EngineConfig(model=model, slots=1))
    return Rendering(engine, portrait, driver, config).write(output)


def driver_view(tick: Tick, height_px: int, aspect: float) -> Pixels:
    """The driver with its landmarks, (height_px, W, 3) uint8 RGB, W even; black where only poses were recorded."""
    width_px = 2 * round(height_px / aspect / 2)
    seen = tick.seen
    if seen.image is None:
        view = np.zeros((height_px, width_px, 3), np.uint8)
    else:
        view = cv2.resize(seen.image, (width_px, height_px), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if seen.pose.face_present:
        points = (seen.pose.face[:, :2] * width_px).round().astype(np.int32)
        inside = ((points >= 0) & (points < (width_px, height_px))).all(1)
        mesh, iris = points[:468][inside[:468]], points[468:][inside[468:]]
        view[mesh[:, 1], mesh[:, 0]] = (90, 220, 160)
        for x, y in iris:
            cv2.circle(view, (int(x), int(y)), 1, (255, 200, 60), -1)
    return view


def _spread_ms(spent_us: list[int]) -> dict[str, float]:
    median, p95 = np.percentile(spent_us, (50, 95)) / 1000
    return {"median": round(float(median), 3), "p95": round(float(p95), 3)}
