"""The five calls of `avatar.v1.AvatarService` without a transport: request message in, response message out.

gRPC and the web are shells around this; both raise what it raises, each in its own words.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

import structlog
from avatar_client._gen import avatar_pb2 as pb
from avatar_client._version import __version__
from avatar_client.errors import InvalidInputError, ProtocolError, ServerDrainingError, TimeoutExceededError

from avatar_sdk.server import convert
from avatar_sdk.server.config import MAX_PORTRAIT_BYTES, ServerConfig
from avatar_sdk.server.conversation import Conversation
from avatar_sdk.server.metrics import Metrics
from avatar_sdk.session import CloseReason, Entry, Sessions, SessionSettings

log = structlog.get_logger(__name__)

MOST_KEY_CHARACTERS: Final = 64
MOST_AGENT_CHARACTERS: Final = 64


class Writer(Protocol):
    """The way back to one client."""

    async def write(self, response: Any) -> None:
        """Sends one StreamResponse; returns when the transport has taken it over."""


class Calls:
    """Answers calls; all state is in `sessions`.

    Attributes:
        config: how the server is set up.
        sessions: every live session.
        metrics: what is counted.
        draining: whether new sessions are refused.
    """

    def __init__(self, config: ServerConfig, sessions: Sessions, metrics: Metrics) -> None:
        self.config = config
        self.sessions = sessions
        self.metrics = metrics
        self.draining = False
        self._streams = 0
        self._streamless = asyncio.Event()
        self._streamless.set()

    # Unary calls

    async def get_server_info(self, _: pb.GetServerInfoRequest) -> pb.GetServerInfoResponse:
        """What this server can do and how full it is."""
        engine = self.sessions.engine
        return pb.GetServerInfoResponse(
            version=__version__,
            model=engine.runtime.name,
            trained_stages=engine.runtime.trained_stages,
            width_px=self.config.size_px,
            height_px=self.config.size_px,
            fps=self.config.clock.fps,
            max_sessions=engine.config.slots,
            free_sessions=0 if self.draining else self.sessions.free,
            encodings=[pb.ENCODING_JPEG, pb.ENCODING_H264, pb.ENCODING_RGB],
            max_portrait_bytes=MAX_PORTRAIT_BYTES,
            draining=self.draining,
        )

    async def create_session(self, request: pb.CreateSessionRequest) -> pb.CreateSessionResponse:
        """Checks the portrait and takes a slot.

        Raises:
            AvatarError: the server drains or is full, consent is missing, or the request names something unusable.
        """
        self._admit(request.consent)
        if len(request.idempotency_key) > MOST_KEY_CHARACTERS:
            raise InvalidInputError(
                f"idempotency_key has {len(request.idempotency_key)} characters; at most {MOST_KEY_CHARACTERS} are "
                "allowed",
                field="idempotency_key",
            )
        settings = SessionSettings(
            convert.to_portrait_config(request.config, self.config.size_px),
            convert.to_motion_config(request.config),
            request.config.seed,
        )
        entry = await self.sessions.create(request.portrait, settings, request.idempotency_key)
        portrait, limits = entry.live.avatar.portrait, self.config.limits
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

    async def update_session(self, request: pb.UpdateSessionRequest) -> pb.UpdateSessionResponse:
        """Changes a session without a stream.

        Raises:
            AvatarError: there is no such session, its token is wrong, or a change cannot be made.
        """
        entry = self.entry(request)
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

    async def delete_session(self, request: pb.DeleteSessionRequest) -> pb.DeleteSessionResponse:
        """Ends a session and frees its slot.

        Raises:
            SessionNotFoundError, AuthenticationError: as `entry`.
        """
        await self.sessions.end(self.entry(request), CloseReason.CLIENT)
        return pb.DeleteSessionResponse()

    # The stream

    async def stream(
        self, requests: AsyncIterator[Any], writer: Writer, transport: str, linger_s: float = 0.0
    ) -> CloseReason:
        """Drives a session: the first request is a StreamConfig, then poses against frames, until either side ends it.

        `transport` is the word that metrics and log call this stream by; `linger_s` is how long the client of a session
        that is over may take to end the stream itself. Returns why the session ended, UNSPECIFIED when only the stream
        did.

        Raises:
            AvatarError: why the stream broke.
        """
        config = await self._first(requests)
        live = self.entry(config).live
        stream, resumed = await live.attach(convert.to_settings(config))
        self._streams += 1
        self._streamless.clear()
        log.info(
            "stream opened",
            session=config.session_id,
            transport=transport,
            resumed=resumed,
            encoding=stream.encoder.encoding.value,
            client=config.user_agent[:MOST_AGENT_CHARACTERS],
        )
        try:
            with self.metrics.stream(transport):
                if self.draining:
                    stream.put_farewell(self.config.drain_grace_s)
                state = convert.from_state(live.core.state).state
                ready = pb.StreamReady(config=config, state=state, resumed=resumed, fps=self.config.clock.fps)
                await writer.write(pb.StreamResponse(ready=ready))
                conversation = Conversation(live, stream, self.metrics, tracks=self.config.tracks, linger_s=linger_s)
                await conversation.run(requests, writer)
            return live.core.close_reason
        finally:
            live.detach(stream)
            self._streams -= 1
            if self._streams == 0:
                self._streamless.set()
            log.info("stream closed", session=config.session_id, state=live.core.state.value)

    async def _first(self, requests: AsyncIterator[Any]) -> Any:
        patience_s = self.config.first_message_timeout_s
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
            entry.live.farewell(self.config.drain_grace_s)
        await self.streams_ended(self.config.drain_grace_s)

    async def streams_ended(self, patience_s: float) -> None:
        """Returns when no stream is left, or after `patience_s` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._streamless.wait()

    # Admission

    def entry(self, request: Any) -> Entry:
        """The session of a request with `session_id` and `resume_token`.

        Raises:
            SessionNotFoundError: there is none.
            AuthenticationError: the token is not its own.
        """
        return self.sessions.get(request.session_id, request.resume_token)

    def _admit(self, consent: bool) -> None:
        if self.draining:
            raise ServerDrainingError("the server is shutting down; connect again in a moment", retry_after_s=1.0)
        if not consent:
            raise ProtocolError(
                "consent is missing: declare that the person shown agreed, or that nobody real is shown",
                field="consent",
            )
