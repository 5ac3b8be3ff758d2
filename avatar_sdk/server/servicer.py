"""The five calls of `avatar.v1.AvatarService`: parse, call the session, answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import structlog
from avatar_client._gen import avatar_pb2 as pb
from avatar_client._gen import avatar_pb2_grpc
from avatar_client._version import __version__
from avatar_client.errors import (
    AvatarError,
    InvalidConfigError,
    InvalidInputError,
    InvalidPortraitError,
    InvalidPoseError,
    NoCapacityError,
    ProtocolError,
    ServerDrainingError,
)

from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.server import convert
from avatar_sdk.server.config import MAX_PORTRAIT_BYTES, MAX_STREAM_MESSAGE_BYTES, ServerConfig
from avatar_sdk.server.errors import abort
from avatar_sdk.server.metrics import Metrics
from avatar_sdk.session import CloseReason, LiveSession, Notice, NoticeKind, SentFrame, Sessions, SessionState
from avatar_sdk.session.live import now_us

log = structlog.get_logger(__name__)

RETRY_WHEN_FULL_S: Final = 2.0


def typed(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A unary call whose `AvatarError`s become statuses."""

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
        self._portraits = asyncio.Semaphore(1)
        self._streams: set[LiveSession] = set()

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
            free_sessions=engine.free_slots,
            encodings=[pb.ENCODING_JPEG, pb.ENCODING_H264, pb.ENCODING_RGB],
            max_portrait_bytes=MAX_PORTRAIT_BYTES,
            draining=self.draining,
        )

    @typed
    async def CreateSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Checks the portrait and takes a slot."""
        self._admit(request.consent)
        if len(request.idempotency_key) > 64:
            raise InvalidInputError(
                f"idempotency_key has {len(request.idempotency_key)} characters; at most 64 are allowed",
                field="idempotency_key",
            )
        entry = self.sessions.by_key(request.idempotency_key)
        if entry is None:
            config = convert.to_portrait_config(request.config, self._config.size_px)
            motion = convert.to_motion_config(request.config)
            self._check_capacity()
            portrait = await self._load(request.portrait, config)
            entry = self.sessions.by_key(request.idempotency_key) or await self.sessions.create(
                portrait, motion, request.config.seed, request.idempotency_key
            )
            entry.portrait_config = config
            if portrait.faces > 1:
                entry.live.core.notify(
                    NoticeKind.SEVERAL_FACES, f"the photo shows {portrait.faces} faces; the largest is used"
                )
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
        entry = self.sessions.get(request.session_id, request.resume_token)
        response = pb.UpdateSessionResponse()
        if request.portrait:
            self._admit(request.consent)
            portrait = await self._load(request.portrait, entry.portrait_config)
            await entry.live.replace_portrait(portrait)
            response.faces = portrait.faces
            response.affine.extend(convert.affine_numbers(portrait))
        if request.HasField("control"):
            await entry.live.apply(convert.to_change(request.control))
        response.state = convert.from_state(entry.live.core.state).state
        return response

    @typed
    async def DeleteSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ends a session and frees its slot."""
        await self.sessions.end(self.sessions.get(request.session_id, request.resume_token), CloseReason.CLIENT)
        return pb.DeleteSessionResponse()

    # The stream

    async def Stream(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802
        """Drives a session: the first message is a StreamConfig, then poses against frames."""
        live: LiveSession | None = None
        reader: asyncio.Task[None] | None = None
        try:
            config = await self._first(requests)
            entry = self.sessions.get(config.session_id, config.resume_token)
            resumed = entry.live.attach(convert.to_settings(config))
            live = entry.live
            self._streams.add(live)
            state = convert.from_state(live.core.state).state
            ready = pb.StreamReady(config=config, state=state, resumed=resumed, fps=self._config.clock.fps)
            await context.write(pb.StreamResponse(ready=ready))
            replies: asyncio.Queue[Any] = asyncio.Queue(8)
            reader = asyncio.create_task(self._read(live, requests, replies), name="stream reader")
            reader.add_done_callback(lambda _: live.wake())
            await self._write(live, context, replies, reader)
        except AvatarError as error:
            self.metrics.error(error.reason)
            await abort(context, error)
        finally:
            if reader is not None:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError, grpc.RpcError, AvatarError):
                    await reader
            if live is not None:
                self._streams.discard(live)
                await live.detach()

    async def _first(self, requests: AsyncIterator[Any]) -> Any:
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "config":
                return request.config
            raise ProtocolError(f"the first message is {kind or 'empty'}; it must be a StreamConfig", field="config")
        raise ProtocolError("the stream ended before its StreamConfig", field="config")

    async def _read(self, live: LiveSession, requests: AsyncIterator[Any], replies: asyncio.Queue[Any]) -> None:
        """Takes in what the client says until it stops."""
        async for request in requests:
            await self._take(live, request, replies)
            live.touch()

    async def _take(self, live: LiveSession, request: Any, replies: asyncio.Queue[Any]) -> None:
        now, core = now_us(), live.core
        size = request.ByteSize()
        if size > MAX_STREAM_MESSAGE_BYTES:
            raise InvalidInputError(
                f"a stream message has {size} bytes; at most {MAX_STREAM_MESSAGE_BYTES} are allowed", field="message"
            )
        match request.WhichOneof("message"):
            case "pose":
                try:
                    core.receive_pose(request.pose.seq, convert.to_pose(request.pose), now)
                except InvalidPoseError as error:
                    core.reject_pose(error, now)
            case "ack":
                core.acknowledge(request.ack.frame_seq, now)
            case "ping":
                if request.ping.rtt_us:
                    core.set_round_trip(request.ping.rtt_us)
                with contextlib.suppress(asyncio.QueueFull):
                    replies.put_nowait(pb.StreamResponse(pong=pb.Pong(timestamp_us=request.ping.timestamp_us)))
                live.wake()
            case "control":
                try:
                    await live.apply(convert.to_change(request.control))
                except InvalidConfigError as error:
                    core.notify(NoticeKind.IGNORED_UNKNOWN, f"control was ignored: {error}")
            case "config":
                raise ProtocolError("a second StreamConfig came; only the first message may be one", field="config")
            case _:
                core.notify(NoticeKind.IGNORED_UNKNOWN, "a message of an unknown kind was ignored")

    async def _write(
        self, live: LiveSession, context: Any, replies: asyncio.Queue[Any], reader: asyncio.Task[None]
    ) -> None:
        """Writes frames and notices until the session or the client ends. Only credited frames are ever written."""
        while True:
            outgoing = await live.next_outgoing(lambda: not replies.empty() or reader.done() or self.draining)
            while not replies.empty():
                await context.write(replies.get_nowait())
            if outgoing is None:
                if reader.done() and live.core.close_reason is CloseReason.UNSPECIFIED:
                    reader.result()
                    return
                if self.draining:
                    await context.write(self._go_away())
                    return
                if live.core.close_reason is not CloseReason.UNSPECIFIED:
                    status = convert.from_state(SessionState.CLOSED, live.core.close_reason)
                    await context.write(pb.StreamResponse(status=status))
                    return
                continue
            await context.write(self._message(outgoing))

    def _message(self, outgoing: SentFrame | Notice | SessionState) -> Any:
        if isinstance(outgoing, SentFrame):
            frame = convert.from_frame(outgoing)
            fresh = outgoing.plan.fresh
            if fresh is not None:
                frame.timings.pose_to_frame_us = now_us() - fresh.received_us
                self.metrics.pose_to_frame(frame.timings.pose_to_frame_us)
            return pb.StreamResponse(frame=frame)
        if isinstance(outgoing, Notice):
            return pb.StreamResponse(event=convert.from_notice(outgoing))
        return pb.StreamResponse(status=convert.from_state(outgoing))

    # Draining

    def drain(self) -> None:
        """Takes no new session and asks every stream to leave."""
        self.draining = True
        for live in self._streams:
            live.wake()

    def _go_away(self) -> Any:
        return pb.StreamResponse(
            go_away=pb.GoAway(
                action=pb.GO_AWAY_ACTION_RECONNECT,
                reason=pb.CLOSE_REASON_DRAIN,
                grace_s=self._config.drain_grace_s,
            )
        )

    # Admission

    def _admit(self, consent: bool) -> None:
        if self.draining:
            raise ServerDrainingError("the server is shutting down; connect again in a moment", retry_after_s=1.0)
        if not consent:
            raise ProtocolError(
                "consent is missing: declare that the person shown agreed, or that nobody real is shown",
                field="consent",
            )

    def _check_capacity(self) -> None:
        engine = self.sessions.engine
        if engine.free_slots == 0:
            raise NoCapacityError(
                f"all {engine.config.slots} slots are taken; try again later, or start the server with more --slots",
                retry_after_s=RETRY_WHEN_FULL_S,
            )

    async def _load(self, data: bytes, config: PortraitConfig) -> Portrait:
        if len(data) > MAX_PORTRAIT_BYTES:
            raise InvalidPortraitError(
                f"the portrait has {len(data)} bytes; at most {MAX_PORTRAIT_BYTES} are allowed", field="portrait"
            )
        async with self._portraits:
            return await asyncio.to_thread(load_portrait, data, config)
