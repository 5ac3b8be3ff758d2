"""One live avatar: poses out, frames in."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from avatar_client._gen import avatar_pb2 as pb
from avatar_client._version import __version__
from avatar_client.backoff import ReconnectConfig
from avatar_client.clock import monotonic_us
from avatar_client.controls import PortraitInfo, SessionControls
from avatar_client.errors import AvatarError, InvalidConfigError, ProtocolError
from avatar_client.events import CloseReason, EventKind, SessionEvent, SessionState
from avatar_client.frame import Frame
from avatar_client.link import SessionLink
from avatar_client.options import ImageFile, SessionOptions, portrait_bytes
from avatar_client.runner import SessionRunner
from avatar_client.transport import Transport

_EVENTS_KEPT: Final = 256


class AvatarSession(SessionControls):
    """One live avatar; made by `AvatarClient.session`, used in `async with`.

    `send_pose` never waits, and iterating gives the newest frame each time: taking a frame is what lets the server
    send more. A broken stream is taken up again by itself, in the same session or, where the server has lost it, in
    a new one with the same portrait and options. Iteration goes on, and ends when the session does.
    """

    def __init__(
        self,
        portrait: bytes,
        options: SessionOptions,
        reconnect: ReconnectConfig,
        transport: Callable[[str], Transport],
        on_event: Callable[[SessionEvent], None] | None,
    ) -> None:
        """Use `AvatarClient.session`."""
        config = options.stream_config()
        config.user_agent = f"avatar-client-python/{__version__}"
        request = pb.CreateSessionRequest(portrait=portrait, consent=True, config=options.session_config())
        self._link = SessionLink(monotonic_us)
        self._runner = SessionRunner(self._link, request, config, reconnect, transport, self._emit)
        self._on_event = on_event
        self._events: deque[SessionEvent] = deque(maxlen=_EVENTS_KEPT)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0

    async def __aenter__(self) -> Self:
        """Creates the session and opens its stream.

        Raises:
            InvalidPortraitError: the photo cannot become a portrait.
            NoCapacityError: every slot is taken.
            ConnectionLostError: nothing answers.
            AvatarError: whatever else the server raised.
        """
        if self._task is not None:
            raise ProtocolError("this session was opened before; make a new one with client.session(…)")
        self._loop, self._thread_id = asyncio.get_running_loop(), threading.get_ident()
        self._task = self._loop.create_task(self._run())
        opened = self._loop.create_task(self._runner.ready.wait())
        try:
            await asyncio.wait((self._task, opened), return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                self._task.result()
        except BaseException:
            await self.close()
            raise
        finally:
            opened.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def next_frame(self) -> Frame | None:
        """Waits for the next frame, always the newest; None when the session has ended.

        Raises:
            AvatarError: the session broke and could not be taken up again.
        """
        while (frame := self.latest()) is None:
            if self._ended():
                return None
            await self._news.wait()
        return frame

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """The newest frame each time, until the session ends."""
        while (frame := await self.next_frame()) is not None:
            yield frame

    async def events(self) -> AsyncIterator[SessionEvent]:
        """What happens besides frames, until the session ends; the last 256 wait for a late reader."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._task is None or self._task.done():
                return
            await self._news.wait()

    async def swap_portrait(self, portrait: ImageFile, *, consent: bool = False) -> PortraitInfo:
        """Shows another portrait from the next frames on; the driver's calibration stays.

        Raises:
            InvalidPortraitError: the photo cannot become a portrait; the old one stays.
            InvalidConfigError: `consent` was not declared.
            ConnectionLostError: there is no session at the moment.
            AvatarError: whatever else the server raised.
        """
        require_consent(consent)
        data, created = portrait_bytes(portrait), self._created()
        request = pb.UpdateSessionRequest(
            session_id=created.session_id, resume_token=created.resume_token, portrait=data, consent=True
        )
        answer = await self._runner.transport.call("UpdateSession", request, pb.UpdateSessionResponse)
        self._runner.request.portrait = data  # a restarted session shows the new one too
        created.faces, created.affine[:] = answer.faces, answer.affine
        return self.portrait

    async def close(self) -> None:
        """Ends the session and frees its slot. Idempotent."""
        if self._task is None:
            return
        if self._link.close_reason is CloseReason.UNSPECIFIED:
            self._link.close_reason = CloseReason.CLIENT
        self._task.cancel()
        await asyncio.wait((self._task,))
        if self._link.close_reason in (CloseReason.CLIENT, CloseReason.FAILED):
            with suppress(AvatarError):  # a server that is gone has freed the slot already, or will by itself
                await self._runner.delete()
        self._emit(self._link.enter(SessionState.CLOSED))

    async def _run(self) -> None:
        try:
            await self._runner.run()
        except AvatarError:
            self._link.close_reason = CloseReason.FAILED
            raise
        finally:
            self._emit(self._link.enter(SessionState.CLOSED))

    def _ended(self) -> bool:
        """Whether the session is over; raises what broke it."""
        if self._task is None or self._task.cancelled():
            return True
        if self._task.done():
            self._task.result()
            return True
        return False

    def _wake(self) -> None:
        """There is something to send."""
        if self._loop is None or self._loop.is_closed():
            return
        if threading.get_ident() == self._thread_id:
            self._runner.wake.set()
        else:
            self._loop.call_soon_threadsafe(self._runner.wake.set)

    def _emit(self, event: SessionEvent | None) -> None:
        """Tells the program of an event, or, without one, that there may be a frame."""
        if event is not None:
            self._events.append(event)
            if self._on_event is not None:
                self._on_event(event)
            if event.kind is EventKind.STATE_CHANGED and event.message == SessionState.CLOSED:
                self._emit(SessionEvent(EventKind.CLOSED, self.close_reason))
        news, self._news = self._news, asyncio.Event()
        news.set()


def require_consent(consent: bool) -> None:
    """Raises InvalidConfigError unless consent was declared."""
    if not consent:
        raise InvalidConfigError(
            "consent was not declared; pass consent=True to say that the person shown agreed, or that nobody real is",
            field="consent",
        )
