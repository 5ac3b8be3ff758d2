"""A session on two threads: one makes latents, the other makes pictures of them.

Frame k + 1 is advanced while frame k is finished and encoded. The event loop only decides; it never computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog
from avatar_client.errors import SessionBusyError, SessionNotFoundError, SessionStateLostError

from avatar_sdk.badge import draw_badge
from avatar_sdk.encode import EncodedFrame, make_encoder
from avatar_sdk.engine import Avatar, Draft, Engine, Picture
from avatar_sdk.motion import MotionConfig, Neutral, SmoothingConfig
from avatar_sdk.portrait import Portrait
from avatar_sdk.session.core import SessionCore
from avatar_sdk.session.stream import LiveStream, SentFrame, StreamSettings
from avatar_sdk.session.values import CloseReason, NoticeKind, SessionState, StepPlan
from avatar_sdk.session.watcher import WatchedFrame, Watcher

log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 0.5
"""How often a session without work looks at its limits."""


def now_us() -> int:
    """The service's monotonic clock. Unit: microseconds."""
    return time.monotonic_ns() // 1000


class StageThreads:
    """The engine's two threads, shared by all sessions in turn, and one for what is done once per portrait.

    Attributes:
        advance, finish: for the two halves of a step.
        prepare: for portraits, so that no running session waits for one.
        turn: held while a step is advanced, so that a session takes its pose only when a thread is free.
    """

    def __init__(self, at_once: int = 1) -> None:
        """`at_once`: steps that may run at the same time; more than one if the engine steps them together."""
        self.advance = ThreadPoolExecutor(at_once, thread_name_prefix="advance")
        self.finish = ThreadPoolExecutor(min(at_once, os.cpu_count() or 1), thread_name_prefix="finish")
        self.prepare = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self.turn = asyncio.Semaphore(at_once)

    def close(self) -> None:
        """Waits for what runs and drops what waits."""
        for pool in (self.advance, self.finish, self.prepare):
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Change:
    """A change while running; None = as it is."""

    gains: dict[str, float] | None = None
    calibrate: bool = False
    smoothing: bool | None = None
    badge: bool | None = None
    neutral: Neutral | None = None
    paused: bool | None = None
    key_frame: bool = False


class LiveSession:
    """One avatar, its rules and the stream that drives it. Everything but the two stages runs on the event loop."""

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
        self._badge = True
        self._watchers: set[Watcher] = set()
        self._stream: LiveStream | None = None
        self._pump: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._plans: deque[StepPlan] = deque()  # whose pictures are still to come
        self._changed = asyncio.Event()
        self._stepping = asyncio.Lock()

    # The stream's side

    async def attach(self, settings: StreamSettings) -> tuple[LiveStream, bool]:
        """Starts generating for a stream. Returns it, and whether it goes on from an earlier one.

        Raises:
            SessionBusyError: another stream drives the session.
            SessionNotFoundError: the session has ended.
            InvalidConfigError: a setting is out of range.
        """
        encoder = make_encoder(
            settings.encoding, quality=settings.quality, bit_rate=settings.bit_rate, fps=self.core.clock.config.fps
        )
        resumed = self.core.attach(now_us(), max_in_flight=settings.max_in_flight)
        if self._stream is not None:
            self._stream.end(SessionBusyError("another stream took this session over, for nothing came from this one"))
        stream = self._stream = LiveStream(self.core, encoder)
        self._badge = settings.badge
        try:
            await self._pump_ended()
        except asyncio.CancelledError:
            self.detach(stream)
            raise
        if self._stream is stream:
            self._pump = asyncio.create_task(self._run(stream), name="session")
            self._pump.add_done_callback(self._ran)
        return stream, resumed

    def detach(self, stream: LiveStream) -> None:
        """Stops generating; the session stays for the resume window. Does nothing for a stream that was taken over."""
        stream.end()
        if stream is self._stream:
            self._stream = None
            self.core.detach(now_us())
            self._changed.set()

    def touch(self) -> None:
        """Something arrived: look again at what is due, and at what is to be said."""
        self._changed.set()
        if self._stream is not None:
            self._stream.wake()

    def farewell(self, grace_s: float) -> None:
        """Asks the client to leave within `grace_s` seconds."""
        if self._stream is not None:
            self._stream.put_farewell(grace_s)

    def close_soon(self, reason: CloseReason, failure: SessionStateLostError | None = None) -> None:
        """Ends the session; its stream and its watchers are told."""
        self.core.close(reason)
        self._changed.set()
        if self._stream is not None:
            self._stream.end(failure)
        for watcher in tuple(self._watchers):
            watcher.close()

    async def close(self, reason: CloseReason) -> None:
        """Ends the session and waits for the step that runs."""
        self.close_soon(reason)
        await self._pump_ended()

    # Others who look

    def watch(self) -> Watcher:
        """One more reader of the finished frames. While there is one, frames are made even if the stream stalls.

        Raises:
            SessionNotFoundError: the session has ended.
        """
        if self.core.state is SessionState.CLOSED:
            raise SessionNotFoundError(
                f"the session has ended ({self.core.close_reason.value}); create a new one", field="session_id"
            )
        watcher = Watcher(self._unwatch)
        self._watchers.add(watcher)
        self.core.watched(True, now_us())
        self.touch()
        return watcher

    def _unwatch(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        if not self._watchers:
            self.core.watched(False, now_us())

    def _show(self, plan: StepPlan, picture: Picture) -> None:
        shown = plan.shown
        frame = WatchedFrame(
            plan.seq,
            plan.time_us,
            picture.image,
            picture.motion.source,
            shown.seq if shown else 0,
            shown.pose.timestamp_us if shown else 0,
            shown.received_us if shown else 0,
            now_us(),
        )
        for watcher in self._watchers:
            watcher.put(frame)

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
            await self._between_steps(lambda: self._reconfigure(config, change.calibrate), self._threads.advance)
        if change.badge is not None:
            self._badge = change.badge
        if change.key_frame and self._stream is not None:
            self._stream.encoder.request_key()
        if change.paused is not None:
            self.core.pause(change.paused, now_us())
        self.touch()

    async def replace_portrait(self, portrait: Portrait) -> None:
        """The next step shows another portrait."""
        await self._between_steps(lambda: self._engine.replace_portrait(self.avatar, portrait), self._threads.prepare)
        self._plans.clear()
        self.core.notify(NoticeKind.PORTRAIT_CHANGED, "the portrait was replaced")
        self.touch()

    def _reconfigure(self, config: MotionConfig, calibrate: bool) -> None:
        retargeter = self.avatar.retargeter
        retargeter.config = config
        if calibrate:
            retargeter.calibrate(self.avatar.motion)

    async def _between_steps(self, work: Callable[[], None], thread: Executor) -> None:
        """Runs `work` while neither half of a step runs."""
        async with self._stepping:
            if self._finishing is not None:
                await asyncio.wait([self._finishing])
            await asyncio.get_running_loop().run_in_executor(thread, work)

    # Generating

    async def _run(self, stream: LiveStream) -> None:
        """Steps whenever one is due, until the stream or the session ends."""
        while stream is self._stream and self.core.state is not SessionState.CLOSED:
            self._changed.clear()
            now = now_us()
            reason = self.core.expired(now)
            if reason is not None:
                self.close_soon(reason)
                return
            due_us = self.core.due_us()
            if due_us is None or due_us > now:
                await self._wait(LOOK_AGAIN_S if due_us is None else (due_us - now) / 1e6)
                continue
            async with self._stepping:
                await self._step(stream)
        if self._finishing is not None:
            await self._finishing

    async def _step(self, stream: LiveStream) -> None:
        """One first half; the second half runs on while the next first half does."""
        async with self._threads.turn:
            plan = self.core.begin_step(now_us())
            if plan is None:
                stream.wake()
                return
            pose = plan.fresh.pose if plan.fresh else None
            draft = await asyncio.get_running_loop().run_in_executor(
                self._threads.advance, self._engine.advance, self.avatar, pose, plan.time_us
            )
        self.core.motion_events(self.avatar.motion.take_events())
        stream.wake()
        if self._finishing is not None:
            await self._finishing
        self._finishing = asyncio.create_task(self._finish(stream, plan, draft), name="finish")

    async def _finish(self, stream: LiveStream, plan: StepPlan, draft: Draft) -> None:
        self._plans.append(plan)
        shows_pose = len(self._plans) > self._engine.runtime.delay
        watched = shows_pose and bool(self._watchers)  # who comes meanwhile waits for the next, which bears the badge
        picture, encoded, encode_us = await asyncio.get_running_loop().run_in_executor(
            self._threads.finish, self._make, stream, draft, shows_pose, watched
        )
        if shows_pose:
            plan = self._plans.popleft()
        if watched:
            self._show(plan, picture)
        if encoded is None or stream is not self._stream:
            return
        height, width = picture.image.shape[:2]
        frame = SentFrame(
            plan,
            encoded,
            stream.encoder.encoding,
            picture.motion.source,
            width,
            height,
            {"queue": plan.queue_us, **picture.timings_us, "encode": encode_us},
            self.core.poses_dropped + self.avatar.motion.dropped_outliers,
            self.core.frames_dropped,
        )
        self.core.sent(plan.seq, now_us())
        stream.put_frame(frame)
        if self._on_frame is not None:
            self._on_frame(frame)

    def _make(
        self, stream: LiveStream, draft: Draft, shows_pose: bool, watched: bool
    ) -> tuple[Picture, EncodedFrame | None, int]:
        """Second half: picture, badge, bytes; no bytes of a picture that shows no pose yet or meets a full window."""
        picture = self._engine.finish(self.avatar, draft)
        sends = shows_pose and self.core.may_send()
        started = time.perf_counter_ns()
        if self._badge and (sends or watched):
            draw_badge(picture.image)
        if not sends:
            return picture, None, 0
        encoded = stream.encoder.encode(picture.image)
        return picture, encoded, (time.perf_counter_ns() - started) // 1000

    async def _wait(self, patience_s: float) -> None:
        """Until a step is due or something arrives."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(patience_s, LOOK_AGAIN_S)):
                await self._changed.wait()

    async def _pump_ended(self) -> None:
        """Waits until no step runs."""
        tasks = [task for task in (self._pump, self._finishing) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)  # `_ran` has dealt with what failed
        self._finishing = None

    def _ran(self, pump: asyncio.Task[None]) -> None:
        """The generating ended; when a step failed, so has the session."""
        error = None if pump.cancelled() else pump.exception()
        if error is None:
            return
        log.error("step failed", error=repr(error), exc_info=error)
        failure = SessionStateLostError(
            f"a step failed ({type(error).__name__}: {error}); this session cannot go on, create a new one"
        )
        failure.__cause__ = error
        self.close_soon(CloseReason.STATE_LOST, failure)
