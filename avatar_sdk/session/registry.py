"""Every session of a server: admission, tokens, expiry."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from avatar_client.errors import AuthenticationError, SessionNotFoundError

from avatar_sdk.engine import Engine
from avatar_sdk.motion import MotionConfig
from avatar_sdk.pacing import FrameClockConfig
from avatar_sdk.portrait import Portrait, PortraitConfig
from avatar_sdk.session.core import CloseReason, SessionCore, SessionLimits
from avatar_sdk.session.live import LiveSession, SentFrame, StageThreads, now_us

log = structlog.get_logger(__name__)

EXPIRY_CHECK_S = 0.5


@dataclass(eq=False)
class Entry:
    """One session and what opens it."""

    session_id: str
    resume_token: str
    live: LiveSession
    idempotency_key: str = ""
    portrait_config: PortraitConfig = field(default_factory=PortraitConfig)


@dataclass(eq=False)
class Sessions:
    """The sessions of one engine.

    Attributes:
        engine: makes the frames and owns the slots.
        limits: of every session.
        clock: of every session.
        on_frame: called with every frame that goes out, for metrics.
    """

    engine: Engine
    limits: SessionLimits = field(default_factory=SessionLimits)
    clock: FrameClockConfig = field(default_factory=FrameClockConfig)
    on_frame: Callable[[SentFrame], None] | None = None

    def __post_init__(self) -> None:
        self.threads = StageThreads()
        self._entries: dict[str, Entry] = {}
        self._by_key: dict[str, str] = {}
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watches the limits from now on; needs a running event loop."""
        self._keeper = asyncio.create_task(self._watch(), name="session limits")

    async def close(self) -> None:
        """Ends every session and the stage threads."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        for entry in list(self._entries.values()):
            await self.end(entry, CloseReason.DRAIN)
        await asyncio.to_thread(self.threads.close)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def all(self) -> list[Entry]:
        """Every live session."""
        return list(self._entries.values())

    def by_key(self, idempotency_key: str) -> Entry | None:
        """The session that was created with this key, while it lives."""
        return self._entries.get(self._by_key.get(idempotency_key, "")) if idempotency_key else None

    async def create(self, portrait: Portrait, motion: MotionConfig, seed: int, idempotency_key: str = "") -> Entry:
        """Takes a slot.

        Raises:
            NoCapacityError: every slot is taken.
        """
        loop = asyncio.get_running_loop()
        avatar = await loop.run_in_executor(self.threads.advance, self.engine.open, portrait, motion, seed)
        core = SessionCore(self.limits, self.clock, now_us())
        live = LiveSession(self.engine, self.threads, avatar, core, self.on_frame)
        entry = Entry(secrets.token_urlsafe(12), secrets.token_urlsafe(24), live, idempotency_key)
        self._entries[entry.session_id] = entry
        if idempotency_key:
            self._by_key[idempotency_key] = entry.session_id
        log.info("session created", session=entry.session_id, free=self.engine.free_slots)
        return entry

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
        entry.live.close(reason)
        await entry.live.detach()
        # On the engine's own threads, so that no step of this session still runs.
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.threads.finish, self.engine.close, entry.live.avatar)
        log.info("session ended", session=entry.session_id, reason=reason.value, free=self.engine.free_slots)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_CHECK_S)
            for entry in list(self._entries.values()):
                core = entry.live.core
                reason = core.expired(now_us())
                if core.close_reason is not CloseReason.UNSPECIFIED:
                    reason = core.close_reason
                if reason is not None:
                    await self.end(entry, reason)
