"""What is said on one stream: requests into the session, its answers onto the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import AvatarError, InvalidConfigError, InvalidInputError, InvalidPoseError, ProtocolError
from avatar_client.pose import Pose

from avatar_sdk.server import convert
from avatar_sdk.server.camera import CameraPicture, CameraTracking
from avatar_sdk.server.config import MAX_STREAM_MESSAGE_BYTES
from avatar_sdk.server.metrics import Metrics
from avatar_sdk.session import (
    CloseReason,
    Farewell,
    LiveSession,
    LiveStream,
    Notice,
    NoticeKind,
    Outgoing,
    Pong,
    SentFrame,
    SessionState,
    now_us,
)


def check_size(size: int) -> None:
    """Raises InvalidInputError for a stream message of `size` bytes that is too large."""
    if size > MAX_STREAM_MESSAGE_BYTES:
        raise InvalidInputError(
            f"a stream message has {size} bytes; at most {MAX_STREAM_MESSAGE_BYTES} are allowed", field="message"
        )


class Conversation:
    """One stream after its first message. Reads and writes never wait for each other."""

    def __init__(self, live: LiveSession, stream: LiveStream, metrics: Metrics, *, tracks: bool = False) -> None:
        """`tracks`: whether poses are found in the client's camera pictures."""
        self._live = live
        self._stream = stream
        self._metrics = metrics
        self._tracks = tracks
        self._camera: CameraTracking | None = None

    async def run(self, requests: AsyncIterator[Any], context: Any) -> None:
        """Goes on until the client, the session or the service ends it.

        Raises:
            AvatarError: the client broke the protocol, or a step failed.
        """
        reader = asyncio.create_task(self._read(requests), name="stream reader")
        try:
            while (outgoing := await self._stream.next()) is not None:
                await context.write(self._response(outgoing))
            core = self._live.core
            if core.state is SessionState.CLOSED:
                await self._say_goodbye(context, core.close_reason)
        finally:
            reader.cancel()
            if self._camera is not None:
                self._camera.close()
                self._camera = None  # it knows us: the session must not wait for the garbage collector
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        """Takes in what the client says until it stops."""
        try:
            async for request in requests:
                await self._take(request)
                self._live.touch()
        except AvatarError as error:
            self._stream.end(error)
        finally:
            self._stream.end()

    async def _take(self, request: Any) -> None:
        now, core = now_us(), self._live.core
        core.heard(now)
        check_size(request.ByteSize())
        match request.WhichOneof("message"):
            case "pose":
                try:
                    core.receive_pose(request.pose.seq, convert.to_pose(request.pose), now)
                except InvalidPoseError as error:
                    core.reject_pose(error, now)
            case "camera":
                self._look(request.camera)
            case "ack":
                core.acknowledge(request.ack.frame_seq, now)
            case "ping":
                if request.ping.rtt_us:
                    core.set_round_trip(request.ping.rtt_us)
                self._stream.put_pong(request.ping.timestamp_us)
            case "control":
                try:
                    await self._live.apply(convert.to_change(request.control))
                except InvalidConfigError as error:
                    core.notify_rarely(NoticeKind.IGNORED_UNKNOWN, f"a control was ignored: {error}", now)
            case "config":
                raise ProtocolError("a second StreamConfig came; only the first message may be one", field="config")
            case _:
                core.notify_rarely(NoticeKind.IGNORED_UNKNOWN, "a message of an unknown kind was ignored", now)

    def _look(self, camera: pb.CameraFrame) -> None:
        if not self._tracks:
            raise ProtocolError(
                "this server finds no poses in camera pictures, for others than this machine can reach it; send poses, "
                "or start it with --server-tracking",
                field="camera",
            )
        if self._camera is None:
            self._camera = CameraTracking(self._tracked, self._untracked)
        if not self._camera.put(CameraPicture(camera.seq, camera.timestamp_us, camera.image)):
            self._live.core.pose_superseded()

    def _tracked(self, seq: int, pose: Pose) -> None:
        self._live.core.receive_pose(seq, pose, now_us())
        self._live.touch()

    def _untracked(self, error: AvatarError) -> None:
        if isinstance(error, InvalidPoseError):
            self._live.core.reject_pose(error, now_us())
            self._live.touch()
        else:
            self._stream.end(error)

    def _response(self, outgoing: Outgoing) -> Any:
        if isinstance(outgoing, SentFrame):
            frame = convert.from_frame(outgoing)
            self._metrics.dropped(self._live)
            fresh = outgoing.plan.fresh
            if fresh is not None:
                frame.timings.pose_to_frame_us = now_us() - fresh.received_us
                self._metrics.pose_to_frame(frame.timings.pose_to_frame_us)
            return pb.StreamResponse(frame=frame)
        if isinstance(outgoing, Notice):
            return pb.StreamResponse(event=convert.from_notice(outgoing))
        if isinstance(outgoing, Pong):
            return pb.StreamResponse(pong=pb.Pong(timestamp_us=outgoing.timestamp_us))
        if isinstance(outgoing, Farewell):
            return pb.StreamResponse(
                go_away=pb.GoAway(
                    action=pb.GO_AWAY_ACTION_RECONNECT, reason=pb.CLOSE_REASON_DRAIN, grace_s=outgoing.grace_s
                )
            )
        return pb.StreamResponse(status=convert.from_state(outgoing))

    @staticmethod
    async def _say_goodbye(context: Any, reason: CloseReason) -> None:
        await context.write(pb.StreamResponse(status=convert.from_state(SessionState.CLOSED, reason)))
