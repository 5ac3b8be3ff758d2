"""The life of a session's stream: created, opened, kept alive, taken up again after a break."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.backoff import ReconnectConfig
from avatar_client.errors import (
    AvatarError,
    ConnectionLostError,
    ServerDrainingError,
    SessionBusyError,
    SessionNotFoundError,
    SessionStateLostError,
)
from avatar_client.events import CloseReason, EventKind, SessionEvent, SessionState
from avatar_client.link import SessionLink
from avatar_client.transport import Transport
from avatar_client.wire import error_from_rpc

_log = logging.getLogger(__name__)
_PING_S: Final = 1.0
_PATIENCE_PINGS: Final = 10
"""A server that says nothing after so many pings is gone, whatever its socket says."""


@dataclass(slots=True)
class Outage:
    """A break that is not over yet.

    Attributes:
        since_s: when it began, on the event loop's clock. Unit: seconds.
        attempt: tries so far.
        restarted: whether a new session was made since.
    """

    since_s: float
    attempt: int = 0
    restarted: bool = False


class SessionRunner:
    """Moves what `SessionLink` says over the network until the session ends.

    Attributes:
        created: the server's answer about the session in use; None while there is none.
        request: what a session is created with; a new portrait goes here too.
        ready: set once the first stream is open.
    """

    def __init__(
        self,
        link: SessionLink,
        request: pb.CreateSessionRequest,
        config: pb.StreamConfig,
        reconnect: ReconnectConfig,
        transport: Callable[[str], Transport],
        emit: Callable[[SessionEvent | None], None],
    ) -> None:
        """`transport(endpoint)` gives the way to an address, "" being the client's own; `emit` tells the program."""
        self.request = request
        self.created: pb.CreateSessionResponse | None = None
        self.ready = asyncio.Event()
        self.wake = asyncio.Event()
        self._link = link
        self._config = config
        self._reconnect = reconnect
        self._transport_to = transport
        self._emit = emit
        self._endpoint = ""
        self._outage: Outage | None = None
        self._unanswered = 0

    @property
    def transport(self) -> Transport:
        """The way to the server that holds, or will hold, the session."""
        return self._transport_to(self._endpoint)

    async def run(self) -> None:
        """Returns when the session has ended; the link knows why.

        Raises:
            AvatarError: it could not begin, or broke and could not be taken up again.
        """
        while True:
            try:
                if self.created is None:
                    await self._create()
                await self._stream()
                return
            except AvatarError as error:
                if self._link.go_away is not None and self._link.go_away.stop:
                    self._link.close_reason = CloseReason.DRAIN
                    return
                await self._wait_to_retry(error)

    async def delete(self) -> None:
        """Frees the session's slot.

        Raises:
            AvatarError: the server could not be told.
        """
        created, self.created = self.created, None
        if created is not None:
            request = pb.DeleteSessionRequest(session_id=created.session_id, resume_token=created.resume_token)
            await self.transport.call("DeleteSession", request, pb.DeleteSessionResponse, timeout_s=2.0)

    async def _create(self) -> None:
        # until an answer arrives, the same key: a session whose answer got lost must not hold a second slot
        self.request.idempotency_key = self.request.idempotency_key or uuid.uuid4().hex
        self.created = await self.transport.call("CreateSession", self.request, pb.CreateSessionResponse)
        self.request.idempotency_key = ""
        self._endpoint = self.created.endpoint or self._endpoint
        self._link.new_session()
        if self._outage is not None:
            self._outage.restarted = True

    async def _stream(self) -> None:
        assert self.created is not None
        config = pb.StreamConfig()
        config.CopyFrom(self._config)
        config.session_id, config.resume_token = self.created.session_id, self.created.resume_token
        self._link.begin(config)
        self._unanswered = 0
        self.wake.set()
        call = self.transport.stream()
        tasks = [asyncio.ensure_future(work) for work in (self._read(call), self._write(call), self._stay_alive())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            call.cancel()
            self._link.lost()
        self._check_end()

    def _check_end(self) -> None:
        """A stream that ended in order: did the session end too?"""
        reason = self._link.close_reason
        if reason is CloseReason.STATE_LOST:
            raise SessionStateLostError("a step failed on the server, so this session cannot go on; start a new one")
        if self._link.go_away is not None or reason is CloseReason.DRAIN:
            self._link.close_reason = CloseReason.UNSPECIFIED
            raise ServerDrainingError(f"the server at {self.transport.target} shuts down")
        if reason is CloseReason.UNSPECIFIED:
            raise ConnectionLostError(f"the server at {self.transport.target} ended the stream without a reason")

    async def _read(self, call: Any) -> None:
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                self._unanswered = 0
                self._emit(self._link.receive(response))
                arm = response.WhichOneof("message")
                if arm == "ready":
                    self._opened()
                elif self._link.close_reason is not CloseReason.UNSPECIFIED:
                    return  # nothing follows, and the server waits for us to fall silent
                elif self._link.go_away is not None and self._link.go_away.endpoint:
                    return  # another server is ready now; without an address this one may go on for its grace
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error, self.transport.target) from error

    def _opened(self) -> None:
        outage, self._outage = self._outage, None
        if outage is not None:
            self._link.reconnected()
            kind = EventKind.RESTARTED if outage.restarted else EventKind.RESUMED
            self._emit(SessionEvent(kind, f"after {outage.attempt} tries", attempt=outage.attempt))
        self.ready.set()
        self.wake.set()

    async def _write(self, call: Any) -> None:
        try:
            while True:
                self.wake.clear()
                while (request := self._link.next_request()) is not None:
                    await call.write(request)
                await self.wake.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await asyncio.Event().wait()  # the stream is over: its reader knows why, and ends this task

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(_PING_S)
            if self._unanswered == _PATIENCE_PINGS:  # counted, not timed: this program itself may have been asleep
                raise ConnectionLostError(f"{self.transport.target} has answered none of {_PATIENCE_PINGS} pings")
            self._unanswered += 1
            self._link.request_ping()
            self.wake.set()

    async def _wait_to_retry(self, error: AvatarError) -> None:
        """Waits before the next try, or raises `error` when there is to be none."""
        if not self.ready.is_set() or not self._reconnect.enabled:
            raise error
        if isinstance(error, SessionNotFoundError):
            self.created = None
        elif not error.retryable and not isinstance(error, SessionBusyError):  # busy: our old stream is not noticed yet
            raise error
        if self._link.go_away is not None:
            self.created, self._endpoint = None, self._link.go_away.endpoint or self._endpoint
        now_s = asyncio.get_running_loop().time()
        outage = self._outage = self._outage or Outage(now_s)
        outage.attempt += 1
        delay_s = self._reconnect.delay_s(outage.attempt, error.retry_after_s)
        if now_s + delay_s - outage.since_s > self._reconnect.give_up_after_s:
            raise error
        _log.info("stream broke, try %d in %.2f s: %s", outage.attempt, delay_s, error.message)
        self._emit(self._link.enter(SessionState.RECONNECTING))
        self._emit(
            SessionEvent(EventKind.RECONNECTING, error.message, error=error, attempt=outage.attempt, delay_s=delay_s)
        )
        await asyncio.sleep(delay_s)
