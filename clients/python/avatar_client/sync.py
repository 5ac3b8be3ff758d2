"""The same client for programs without asyncio: the asynchronous one, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from avatar_client.backoff import ReconnectConfig
from avatar_client.client import DEFAULT_TARGET, AvatarClient, ServerInfo
from avatar_client.controls import PortraitInfo, SessionControls
from avatar_client.errors import ProtocolError, TimeoutExceededError
from avatar_client.events import SessionEvent
from avatar_client.frame import Frame
from avatar_client.options import ImageFile, SessionOptions
from avatar_client.session import AvatarSession
from avatar_client.transport import TlsConfig

Result = TypeVar("Result")


def connect(
    target: str = DEFAULT_TARGET,
    *,
    token: str | None = None,
    tls: TlsConfig | None = None,
    connect_timeout_s: float = 15.0,
    reconnect: ReconnectConfig | None = None,
) -> SyncAvatarClient:
    """A blocking client; arguments as for `AvatarClient`.

    >>> with avatar_client.connect("localhost:50051") as client:
    ...     with client.session("me.jpg", consent=True) as session:
    ...         session.send_pose(pose)
    ...         for frame in session:
    ...             show(frame.image)
    """
    return SyncAvatarClient(
        AvatarClient(target, token=token, tls=tls, connect_timeout_s=connect_timeout_s, reconnect=reconnect)
    )


class SyncAvatarClient:
    """A connection to a service; made by `connect`, used in `with`."""

    def __init__(self, client: AvatarClient) -> None:
        self._client = client
        self._loop = _LoopThread()

    def __enter__(self) -> Self:
        self._loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every channel and ends the thread. Idempotent."""
        if self._loop.running:
            self._loop.run(self._client.close())
            self._loop.stop()

    def info(self) -> ServerInfo:
        """As `AvatarClient.info`."""
        return self._loop.run(self._client.info())

    def session(
        self,
        portrait: ImageFile,
        *,
        consent: bool = False,
        options: SessionOptions | None = None,
        on_event: Callable[[SessionEvent], None] | None = None,
    ) -> SyncAvatarSession:
        """As `AvatarClient.session`; `on_event` is called on the client's own thread."""
        return SyncAvatarSession(
            self._client.session(portrait, consent=consent, options=options, on_event=on_event), self._loop
        )


class SyncAvatarSession(SessionControls):
    """One live avatar; made by `SyncAvatarClient.session`, used in `with`."""

    def __init__(self, session: AvatarSession, loop: _LoopThread) -> None:
        self._session = session
        self._loop = loop
        self._link, self._runner = session._link, session._runner

    def _wake(self) -> None:
        self._session._wake()

    def _ended(self) -> bool:
        return self._session._ended()

    def __enter__(self) -> Self:
        """As `AvatarSession.__aenter__`."""
        self._loop.run(self._session.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def next_frame(self, timeout_s: float | None = None) -> Frame | None:
        """Waits for the next frame, always the newest; None when the session has ended.

        Raises:
            TimeoutExceededError: there was none within `timeout_s`.
            AvatarError: the session broke and could not be taken up again.
        """

        async def wait() -> Frame | None:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._session.next_frame()
            except TimeoutError as error:
                raise TimeoutExceededError(f"no frame came within {timeout_s} s; is a pose being sent?") from error

        return self._loop.run(wait())

    def __iter__(self) -> Iterator[Frame]:
        """The newest frame each time, until the session ends."""
        while (frame := self.next_frame()) is not None:
            yield frame

    def swap_portrait(self, portrait: ImageFile, *, consent: bool = False) -> PortraitInfo:
        """As `AvatarSession.swap_portrait`."""
        return self._loop.run(self._session.swap_portrait(portrait, consent=consent))

    def close(self) -> None:
        """Ends the session and frees its slot. Idempotent."""
        if self._loop.running:
            self._loop.run(self._session.close())


class _LoopThread:
    """An event loop that runs in a thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="avatar-client", daemon=True)

    @property
    def running(self) -> bool:
        """Whether coroutines can be run."""
        return self._loop is not None

    def start(self) -> None:
        """Returns when the loop runs."""
        started = threading.Event()
        self._started = started
        self._thread.start()
        started.wait()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs `work` on the loop and waits for what it returns or raises."""
        if self._loop is None:
            work.close()
            raise ProtocolError("the client is not open; use it in a `with` block")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C in the waiting thread must not leave the work behind
            raise

    def stop(self) -> None:
        """Ends the loop and its thread."""
        assert self._loop is not None
        assert self._stopped is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop = None

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._stopped.wait()
