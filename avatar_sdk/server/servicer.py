"""The five calls of `avatar.v1.AvatarService`: parse, call the session, answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import structlog
from avatar_client._gen import avatar_pb2 as pb
from avatar_client._gen import avatar_pb2_grpc
from avatar_client._version import __version__
from avatar_client.errors import (
    AvatarError,
    InvalidInputError,
    ProtocolError,
    ServerDrainingError,
    TimeoutExceededError,
)

from avatar_sdk.server import convert
from avatar_sdk.server.config import MAX_PORTRAIT_BYTES, ServerConfig
from avatar_sdk.server.conversation import Conversation
from avatar_sdk.server.errors import abort
from avatar_sdk.server.metrics import Metrics
from avatar_sdk.session import CloseReason, Entry, Sessions, SessionSettings

log = structlog.get_logger(__name__)

MOST_KEY_CHARACTERS: Final = 64
MOST_AGENT_CHARACTERS: Final = 64


def typed(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A call whose `AvatarError`s become statuses."""

    @functools.wraps(call)
    async def guarded(self: AvatarServicer, request: Any, context: Any) -> Any:
        try:
            return await call(self, request, context)
        except AvatarError as error:
            self.metrics.error(error.reason)
            await abort(context, error)

    return guarded


class AvatarServicer(avatar_pb2_grpc.AvatarServiceServicer):  # type: ignore[misc] # generated code is untyped
    """Answers calls; all state is in `sessions`."""

    def __init__(self, config: ServerConfig, sessions: Sessions, metrics: Metrics) -> None:
        self.sessions = sessions
        self.metrics = metrics
        self.draining = False
        self._config = config
        self._streams = 0
        self._streamless = asyncio.Event()
        self._streamless.set()

    # Unary calls

    @typed
    async def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What this server can do and how full it is."""
        engine = self.sessions.engine
        return pb.GetServerInfoResponse(
            version=__version__,
            model=engine.runtime.name,
            trained_stages=engine.runtime.trained_stages,
            width_px=self._config.size_px,
            height_px=self._config.size_px,
            fps=self._config.clock.fps,
            max_sessions=engine.config.slots,
            free_sessions=0 if self.draining else self.sessions.free,
            encodings=[pb.ENCODING_JPEG, pb.ENCODING_H264, pb.ENCODING_RGB],
            max_portrait_bytes=MAX_PORTRAIT_BYTES,
            draining=self.draining,
        )

    @typed
    async def CreateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Checks the portrait and takes a slot."""
        self._admit(request.consent)
        if len(request.idempotency_key) > MOST_KEY_CHARACTERS:
            raise InvalidInputError(
                f"idempotency_key has {len(request.idempotency_key)} characters; at most {MOST_KEY_CHARACTERS} are "
                "allowed",
                field="idempotency_key",
            )
        settings = SessionSettings(
            convert.to_portrait_config(request.config, self._config.size_px),
            convert.to_motion_config(request.config),
            request.config.seed,
        )
        entry = await self.sessions.create(request.portrait, settings, request.idempotency_key)
        portrait, limits = entry.live.avatar.portrait, self._config.limits
        return pb.CreateSessionResponse(
            session_id=entry.session_id,
            resume_token=entry.resume_token,
            limits=pb.Limits(
                idle_timeout_s=limits.idle_timeout_s,
                max_duration_s=limits.max_duration_s,
                resume_window_s=limits.resume_window_s,
                max_pose_rate_hz=limits.max_pose_rate_hz,
            ),
            width_px=portrait.image.shape[1],
            height_px=portrait.image.shape[0],
            faces=portrait.faces,
            affine=convert.affine_numbers(portrait),
        )

    @typed
    async def UpdateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Changes a session without a stream."""
        entry = self._entry(request)
        change = convert.to_change(request.control) if request.HasField("control") else None
        response = pb.UpdateSessionResponse()
        if request.portrait:
            self._admit(request.consent)
            portrait = await self.sessions.prepare(request.portrait, entry.settings.portrait)
            await entry.live.replace_portrait(portrait)
            response.faces = portrait.faces
            response.affine.extend(convert.affine_numbers(portrait))
        if change is not None:
            await entry.live.apply(change)
        response.state = convert.from_state(entry.live.core.state).state
        return response

    @typed
    async def DeleteSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ends a session and frees its slot."""
        await self.sessions.end(self._entry(request), CloseReason.CLIENT)
        return pb.DeleteSessionResponse()

    # The stream

    @typed
    async def Stream(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802
        """Drives a session: the first message is a StreamConfig, then poses against frames."""
        config = await self._first(requests)
        live = self._entry(config).live
        stream, resumed = await live.attach(convert.to_settings(config))
        self._streams += 1
        self._streamless.clear()
        log.info(
            "stream opened",
            session=config.session_id,
            resumed=resumed,
            encoding=stream.encoder.encoding.value,
            client=config.user_agent[:MOST_AGENT_CHARACTERS],
        )
        try:
            if self.draining:
                stream.put_farewell(self._config.drain_grace_s)
            state = convert.from_state(live.core.state).state
            ready = pb.StreamReady(config=config, state=state, resumed=resumed, fps=self._config.clock.fps)
            await context.write(pb.StreamResponse(ready=ready))
            await Conversation(live, stream, self.metrics).run(requests, context)
        finally:
            live.detach(stream)
            self._streams -= 1
            if self._streams == 0:
                self._streamless.set()
            log.info("stream closed", session=config.session_id, state=live.core.state.value)

    async def _first(self, requests: AsyncIterator[Any]) -> Any:
        patience_s = self._config.first_message_timeout_s
        try:
            async with asyncio.timeout(patience_s):
                async for request in requests:
                    kind = request.WhichOneof("message")
                    if kind == "config":
                        return request.config
                    raise ProtocolError(
                        f"the first message is {kind or 'of an unknown kind'}; it must be a StreamConfig",
                        field="config",
                    )
        except TimeoutError as error:
            raise TimeoutExceededError(
                f"no StreamConfig came within {patience_s:g} s of opening the stream; send it first"
            ) from error
        raise ProtocolError("the stream ended before its StreamConfig; send it first", field="config")

    # Draining

    async def drain(self) -> None:
        """Takes no new session, asks every stream to leave, and waits for them as long as the grace."""
        self.draining = True
        for entry in self.sessions.all:
            entry.live.farewell(self._config.drain_grace_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.drain_grace_s):
                await self._streamless.wait()

    # Admission

    def _admit(self, consent: bool) -> None:
        if self.draining:
            raise ServerDrainingError("the server is shutting down; connect again in a moment", retry_after_s=1.0)
        if not consent:
            raise ProtocolError(
                "consent is missing: declare that the person shown agreed, or that nobody real is shown",
                field="consent",
            )

    def _entry(self, request: Any) -> Entry:
        return self.sessions.get(request.session_id, request.resume_token)
