"""A session on two threads: one makes latents, the other makes pictures of them.

Frame k + 1 is advanced while frame k is finished and encoded. The event loop only decides; it never computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog
from avatar_client.errors import SessionStateLostError

from avatar_sdk.badge import draw_badge
from avatar_sdk.encode import EncodedFrame, Encoder, Encoding, make_encoder
from avatar_sdk.engine import Avatar, Draft, Engine, Picture
from avatar_sdk.motion import MotionConfig, MotionSource, Neutral, SmoothingConfig
from avatar_sdk.portrait import Portrait
from avatar_sdk.session.core import CloseReason, Notice, NoticeKind, SessionCore, SessionState, StepPlan

log = structlog.get_logger(__name__)


def now_us() -> int:
    """The service's monotonic clock. Unit: microseconds."""
    return time.monotonic_ns() // 1000


class StageThreads:
    """The engine's two threads, shared by all sessions in order of arrival."""

    def __init__(self) -> None:
        self.advance = ThreadPoolExecutor(1, thread_name_prefix="advance")
        self.finish = ThreadPoolExecutor(1, thread_name_prefix="finish")

    def close(self) -> None:
        """Waits for what runs and drops what waits."""
        for pool in (self.advance, self.finish):
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class StreamSettings:
    """What one stream asks for; 0 = the default."""

    encoding: Encoding = Encoding.JPEG
    quality: int = 0
    bit_rate: int = 0
    max_in_flight: int = 0
    badge: bool = True


@dataclass(frozen=True)
class Change:
    """A change while running; None = as it is."""

    gains: dict[str, float] | None = None
    calibrate: bool = False
    smoothing: bool | None = None
    badge: bool | None = None
    neutral: Neutral | None = None
    paused: bool | None = None


@dataclass(frozen=True, eq=False)
class SentFrame:
    """One frame on its way to the client.

    Attributes:
        plan: the step it came from.
        encoded: its bytes.
        encoding: of the bytes.
        source: what drove it.
        width_px, height_px: its size.
        timings_us: stage → time spent, with "queue" and "encode".
        poses_dropped, frames_dropped: since the session began.
    """

    plan: StepPlan
    encoded: EncodedFrame
    encoding: Encoding
    source: MotionSource
    width_px: int
    height_px: int
    timings_us: dict[str, int]
    poses_dropped: int
    frames_dropped: int


Outgoing = SentFrame | Notice | SessionState
"""What a stream writes between its first and last message; a state is written when it changes."""


class LiveSession:
    """One avatar, its rules and its stream. Everything but the two stages runs on the event loop."""

    def __init__(
        self,
        engine: Engine,
        threads: StageThreads,
        avatar: Avatar,
        core: SessionCore,
        on_frame: Callable[[SentFrame], None] | None = None,
    ) -> None:
        self.core = core
        self.avatar = avatar
        self._engine = engine
        self._threads = threads
        self._on_frame = on_frame
        self._outbox: deque[Outgoing] = deque()
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self._encoder: Encoder = make_encoder(Encoding.JPEG)
        self._badge = True
        self._told = core.state
        self._pump: asyncio.Task[None] | None = None
        self._failure: SessionStateLostError | None = None

    # The stream's side

    def attach(self, settings: StreamSettings) -> bool:
        """Starts generating for a stream. Returns whether it goes on from an earlier one.

        Raises:
            SessionBusyError: another stream drives the session.
            InvalidConfigError: a setting is out of range.
        """
        encoder = make_encoder(
            settings.encoding, quality=settings.quality, bit_rate=settings.bit_rate, fps=self.core.clock.config.fps
        )
        resumed = self.core.attach(now_us(), max_in_flight=settings.max_in_flight)
        self._encoder, self._badge = encoder, settings.badge
        self._outbox.clear()
        self._told = self.core.state
        self._pump = asyncio.create_task(self._run(), name="session")
        return resumed

    async def detach(self) -> None:
        """Stops generating; the session stays for the resume window."""
        self.core.detach(now_us())
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
        self._written.set()

    def touch(self) -> None:
        """Something arrived: look again at what is due."""
        self._changed.set()

    def wake(self) -> None:
        """Lets `next_outgoing` look again."""
        self._written.set()

    async def next_outgoing(self, interrupted: Callable[[], bool]) -> Outgoing | None:
        """What to write next; None when the session has ended, or `interrupted` says so after a `wake`.

        Raises:
            SessionStateLostError: a step failed.
        """
        while True:
            if self.core.state not in (self._told, SessionState.CLOSED):
                self._told = self.core.state
                self._outbox.append(self._told)
            self._outbox.extend(self.core.take_notices())
            if self._outbox:
                return self._outbox.popleft()
            if self._failure is not None:
                raise self._failure
            if self.core.close_reason is not CloseReason.UNSPECIFIED or interrupted():
                return None
            self._written.clear()
            await self._written.wait()

    def close(self, reason: CloseReason) -> None:
        """Ends the session; a stream that waits is told."""
        self.core.close(reason)
        self._changed.set()
        self._written.set()

    # Changes while running

    async def apply(self, change: Change) -> None:
        """Changes gains, neutral, smoothing, badge or pauses.

        Raises:
            InvalidConfigError: a gain is out of range.
        """
        retargeter = self.avatar.retargeter
        config = retargeter.config
        if change.gains is not None:
            config = replace(config, gains=replace(config.gains, **change.gains))
        if change.smoothing is not None:
            config = replace(config, smoothing=SmoothingConfig() if change.smoothing else None)
        if change.neutral is not None:
            config = replace(config, neutral=change.neutral)
        if config is not retargeter.config or change.calibrate:
            await self._between_steps(lambda: self._reconfigure(config, change.calibrate))
        if change.badge is not None:
            self._badge = change.badge
        if change.paused is not None:
            self.core.pause(change.paused, now_us())
            self._changed.set()

    async def replace_portrait(self, portrait: Portrait) -> None:
        """The next step shows another portrait."""
        await self._between_steps(lambda: self._engine.replace_portrait(self.avatar, portrait))
        self.core.notify(NoticeKind.PORTRAIT_CHANGED, "the portrait was replaced")
        self._written.set()

    def _reconfigure(self, config: MotionConfig, calibrate: bool) -> None:
        retargeter = self.avatar.retargeter
        retargeter.config = config
        if calibrate:
            retargeter.calibrate(self.avatar.motion)

    async def _between_steps(self, work: Callable[[], None]) -> None:
        """Runs `work` on the thread that advances, so never during a step."""
        await asyncio.get_running_loop().run_in_executor(self._threads.advance, work)

    # Generating

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        finishing: asyncio.Future[None] | None = None
        try:
            while True:
                now = now_us()
                reason = self.core.expired(now)
                if reason is not None:
                    self.close(reason)
                if self.core.close_reason is not CloseReason.UNSPECIFIED:
                    break
                plan = self.core.begin_step(now)
                if plan is None:
                    self._written.set()
                    await self._wait(self.core.due_us())
                    continue
                pose = plan.fresh.pose if plan.fresh else None
                draft = await loop.run_in_executor(
                    self._threads.advance, self._engine.advance, self.avatar, pose, plan.time_us
                )
                self.core.motion_events(self.avatar.motion.take_events())
                if finishing is not None:
                    await finishing
                finishing = asyncio.ensure_future(self._finish(plan, draft))
            if finishing is not None:
                await finishing
        except asyncio.CancelledError:
            if finishing is not None:
                await asyncio.wait([finishing])
            raise
        except Exception as error:  # noqa: BLE001 - any fault of a step ends this session and no other
            self._fail(error)

    async def _finish(self, plan: StepPlan, draft: Draft) -> None:
        loop = asyncio.get_running_loop()
        picture, encoded, encode_us = await loop.run_in_executor(self._threads.finish, self._make, draft)
        if encoded is None:
            return
        timings = {"queue": plan.started_us - plan.fresh.received_us if plan.fresh else 0, **picture.timings_us}
        timings["encode"] = encode_us
        height, width = picture.image.shape[:2]
        frame = SentFrame(
            plan,
            encoded,
            self._encoder.encoding,
            picture.motion.source,
            width,
            height,
            timings,
            self.core.poses_dropped + self.avatar.motion.dropped_outliers,
            self.core.frames_dropped,
        )
        self.core.sent(plan.seq)
        self._outbox.append(frame)
        if self._on_frame is not None:
            self._on_frame(frame)
        self._written.set()

    def _make(self, draft: Draft) -> tuple[Picture, EncodedFrame | None, int]:
        """Second stage: picture, badge, bytes."""
        picture = self._engine.finish(self.avatar, draft)
        if not self.core.may_send():
            return picture, None, 0
        started = time.perf_counter_ns()
        if self._badge:
            draw_badge(picture.image)
        encoded = self._encoder.encode(picture.image)
        return picture, encoded, (time.perf_counter_ns() - started) // 1000

    async def _wait(self, due_us: int | None) -> None:
        """Until a step is due or something arrives; wakes once a second for the limits."""
        self._changed.clear()
        patience_s = 1.0 if due_us is None else min(1.0, max(0.0, (due_us - now_us()) / 1e6))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._changed.wait()

    def _fail(self, error: Exception) -> None:
        log.error("step failed", error=repr(error), exc_info=error)
        failure = SessionStateLostError(
            f"a step failed ({type(error).__name__}: {error}); this session cannot go on, create a new one"
        )
        failure.__cause__ = error
        self._failure = failure
        self.close(CloseReason.STATE_LOST)
