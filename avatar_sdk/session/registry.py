"""Every session of a server: admission, portraits, tokens, expiry."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import structlog
from avatar_client.errors import AuthenticationError, NoCapacityError, SessionNotFoundError

from avatar_sdk.engine import Engine
from avatar_sdk.motion import MotionConfig
from avatar_sdk.pacing import FrameClockConfig
from avatar_sdk.portrait import Portrait, PortraitConfig, PortraitReader, load_portrait
from avatar_sdk.session.core import SessionCore
from avatar_sdk.session.live import LiveSession, StageThreads, now_us
from avatar_sdk.session.stream import SentFrame
from avatar_sdk.session.values import CloseReason, NoticeKind, SessionLimits

T = TypeVar("T")
log = structlog.get_logger(__name__)

EXPIRY_CHECK_S: Final = 0.5
RETRY_WHEN_FULL_S: Final = 2.0
SAMPLE_PORTRAIT: Final = Path(__file__).resolve().parent.parent / "assets/sample_portrait.png"


@dataclass(frozen=True)
class SessionSettings:
    """How one session looks and moves."""

    portrait: PortraitConfig = field(default_factory=PortraitConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    seed: int = 0


@dataclass(eq=False)
class Entry:
    """One session and what opens it."""

    session_id: str
    resume_token: str
    live: LiveSession
    settings: SessionSettings
    idempotency_key: str = ""


@dataclass(eq=False)
class Sessions:
    """The sessions of one engine.

    Attributes:
        engine: makes the frames and owns the slots.
        limits: of every session.
        clock: of every session.
        on_frame: called with every frame that goes out, for metrics.
        on_end: called with the reason whenever a session ends, for metrics.
    """

    engine: Engine
    limits: SessionLimits = field(default_factory=SessionLimits)
    clock: FrameClockConfig = field(default_factory=FrameClockConfig)
    on_frame: Callable[[SentFrame], None] | None = None
    on_end: Callable[[CloseReason], None] | None = None

    def __post_init__(self) -> None:
        self.threads = StageThreads(self.engine.at_once)
        self._reader: PortraitReader | None = None
        self._entries: dict[str, Entry] = {}
        self._by_key: dict[str, str] = {}
        self._creating: dict[str, asyncio.Task[Entry]] = {}
        self._reserved = 0
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watches the limits from now on; needs a running event loop."""
        self._keeper = asyncio.create_task(self._watch(), name="session limits")

    async def warm_up(self, config: PortraitConfig) -> None:
        """Makes some frames that nobody sees, so that the first session finds everything compiled and loaded."""
        portrait = await self.prepare(SAMPLE_PORTRAIT.read_bytes(), config)
        await self._call(self.threads.prepare, lambda: self.engine.warm_up(portrait))

    async def close(self) -> None:
        """Ends every session and the threads."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await asyncio.gather(*self._creating.values(), return_exceptions=True)
        for entry in self.all:
            await self.end(entry, CloseReason.DRAIN)
        if self._reader is not None:
            await self._call(self.threads.prepare, self._reader.close)
        await asyncio.to_thread(self.threads.close)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def all(self) -> list[Entry]:
        """Every live session."""
        return list(self._entries.values())

    @property
    def free(self) -> int:
        """Sessions that could be created now."""
        return max(0, self.engine.free_slots - self._reserved)

    def by_key(self, idempotency_key: str) -> Entry | None:
        """The session that was created with this key, while it lives."""
        return self._entries.get(self._by_key.get(idempotency_key, "")) if idempotency_key else None

    async def prepare(self, photo: bytes, config: PortraitConfig) -> Portrait:
        """Makes a photo ready, on a thread of its own.

        Raises:
            InvalidPortraitError: it cannot become a portrait.
            InvalidConfigError: its background cannot be used.
        """
        return await self._call(self.threads.prepare, lambda: self._prepare(photo, config))

    async def create(self, photo: bytes, settings: SessionSettings, idempotency_key: str = "") -> Entry:
        """Takes a slot, prepares the portrait and opens a session; with a key that is known, returns that session.

        Raises:
            NoCapacityError: every slot is taken.
            InvalidPortraitError, InvalidConfigError: as `prepare`.
        """
        known = self.by_key(idempotency_key)
        if known is not None:
            return known
        creating = self._creating.get(idempotency_key)
        if creating is None:
            creating = asyncio.create_task(self._create(photo, settings, idempotency_key), name="create session")
            # A caller that went away must not undo it: it may ask again with the same key.
            place = idempotency_key or secrets.token_hex(8)
            self._creating[place] = creating
            creating.add_done_callback(lambda task: self._created(place, task))
        return await asyncio.shield(creating)

    def get(self, session_id: str, resume_token: str) -> Entry:
        """The session, for somebody who may have it.

        Raises:
            SessionNotFoundError: there is none.
            AuthenticationError: the token is not its own.
        """
        entry = self._entries.get(session_id)
        if entry is None:
            raise SessionNotFoundError(
                f"session {session_id!r} does not exist or has ended; create a new one", field="session_id"
            )
        if not secrets.compare_digest(entry.resume_token.encode(), resume_token.encode()):
            raise AuthenticationError(
                "resume_token is not this session's; use the one that CreateSession returned", field="resume_token"
            )
        return entry

    async def end(self, entry: Entry, reason: CloseReason) -> None:
        """Ends a session and frees its slot. Idempotent."""
        if self._entries.pop(entry.session_id, None) is None:
            return
        if entry.idempotency_key:
            self._by_key.pop(entry.idempotency_key, None)
        await entry.live.close(reason)
        await self._call(self.threads.finish, lambda: self.engine.close(entry.live.avatar))
        reason = entry.live.core.close_reason
        if self.on_end is not None:
            self.on_end(reason)
        log.info("session ended", session=entry.session_id, reason=reason.value, free=self.engine.free_slots)

    async def _create(self, photo: bytes, settings: SessionSettings, idempotency_key: str) -> Entry:
        if self.free == 0:
            raise NoCapacityError(
                f"all {self.engine.config.slots} slots are taken; try again later, or start the server with more "
                "--slots",
                retry_after_s=RETRY_WHEN_FULL_S,
            )
        self._reserved += 1
        try:
            portrait = await self.prepare(photo, settings.portrait)
            avatar = await self._call(
                self.threads.prepare, lambda: self.engine.open(portrait, settings.motion, settings.seed)
            )
        finally:
            self._reserved -= 1
        core = SessionCore(self.limits, self.clock, now_us())
        if portrait.faces > 1:
            core.notify(NoticeKind.SEVERAL_FACES, f"the photo shows {portrait.faces} faces; the largest is used")
        live = LiveSession(self.engine, self.threads, avatar, core, self.on_frame)
        entry = Entry(secrets.token_urlsafe(12), secrets.token_urlsafe(24), live, settings, idempotency_key)
        self._entries[entry.session_id] = entry
        if idempotency_key:
            self._by_key[idempotency_key] = entry.session_id
        log.info("session created", session=entry.session_id, free=self.engine.free_slots)
        return entry

    def _created(self, place: str, task: asyncio.Task[Entry]) -> None:
        self._creating.pop(place, None)
        if not task.cancelled():
            task.exception()  # its callers raise it; when none is left, nobody needs to hear of it

    @staticmethod
    async def _call(thread: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    def _prepare(self, photo: bytes, config: PortraitConfig) -> Portrait:
        if self._reader is None:
            self._reader = PortraitReader()
        return load_portrait(photo, config, self._reader)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_CHECK_S)
            for entry in self.all:
                core = entry.live.core
                reason = core.close_reason
                if reason is CloseReason.UNSPECIFIED:
                    reason = core.expired(now_us()) or reason
                if reason is not CloseReason.UNSPECIFIED:
                    await self.end(entry, reason)
