"""A service that answers each pose with a tiny frame, and misbehaves on purpose where its script says so."""

# ruff: noqa: N802

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from avatar_client._gen import avatar_pb2 as pb
from avatar_client._gen.avatar_pb2_grpc import AvatarServiceServicer, add_AvatarServiceServicer_to_server
from avatar_client.errors import AvatarError, InvalidPortraitError, SessionNotFoundError
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

Context = grpc.aio.ServicerContext


@dataclass
class Peer(AvatarServiceServicer):
    """Answers each pose with one tiny frame, and does what its script says when a pose of that number arrives."""

    name: str = "peer"
    script: dict[int, Callable[[Context], Any]] = field(default_factory=dict)
    refuse: AvatarError | None = None
    silent: bool = False
    lose_answers: int = 0
    keys: list[str] = field(default_factory=list)
    portraits: list[bytes] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    said: list[pb.StreamRequest] = field(default_factory=list)
    frames: int = 0
    tokens: list[str] = field(default_factory=list)

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        self.tokens.append(dict(context.invocation_metadata() or ()).get("authorization", ""))
        return pb.GetServerInfoResponse(version="1.2.3", model=self.name, fps=24, encodings=[pb.ENCODING_JPEG])

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Context) -> pb.CreateSessionResponse:
        if self.refuse is not None:
            await abort(context, self.refuse)
        if request.idempotency_key not in self.keys:
            self.keys.append(request.idempotency_key)
            self.portraits.append(request.portrait)
        if self.lose_answers:
            self.lose_answers -= 1
            await cut(context)
        return pb.CreateSessionResponse(
            session_id=f"{self.name}-{len(self.portraits)}",
            resume_token="secret",
            limits=pb.Limits(resume_window_s=30),
            width_px=2,
            height_px=1,
            faces=1,
            affine=[1, 0, 5, 0, 1, 7],
        )

    async def Stream(
        self, requests: AsyncIterator[pb.StreamRequest], context: Context
    ) -> AsyncIterator[pb.StreamResponse]:
        async for request in requests:
            self.said.append(request)
            arm = request.WhichOneof("message")
            if arm == "config":
                known = [f"{self.name}-{number + 1}" for number in range(len(self.portraits))]
                if request.config.session_id not in known or request.config.session_id in self.deleted:
                    await abort(context, SessionNotFoundError(f"no session {request.config.session_id}"))
                yield pb.StreamResponse(
                    ready=pb.StreamReady(config=request.config, state=pb.SESSION_STATE_READY, fps=24)
                )
            elif arm == "ping" and not self.silent:
                yield pb.StreamResponse(pong=pb.Pong(timestamp_us=request.ping.timestamp_us))
            elif arm == "pose":
                action = self.script.pop(request.pose.seq, None)
                if action is not None:
                    outcome = action(context)
                    if isinstance(outcome, list):
                        for response in outcome:
                            yield response
                        if outcome[-1].HasField("status"):
                            return
                    else:
                        await outcome
                self.frames += 1
                yield pb.StreamResponse(
                    frame=pb.Frame(
                        seq=self.frames,
                        encoding=pb.ENCODING_RGB,
                        width_px=2,
                        height_px=1,
                        data=bytes(6),
                        key=True,
                        pose_seq=request.pose.seq,
                        pose_timestamp_us=request.pose.timestamp_us,
                        source=pb.MOTION_SOURCE_POSE,
                        generated=True,
                    )
                )

    async def UpdateSession(self, request: pb.UpdateSessionRequest, context: Context) -> pb.UpdateSessionResponse:
        if request.portrait == b"no face":
            await abort(context, InvalidPortraitError("the photo shows no face", field="portrait"))
        return pb.UpdateSessionResponse(faces=3, affine=[2, 0, 0, 0, 2, 0])

    async def DeleteSession(self, request: pb.DeleteSessionRequest, context: Context) -> pb.DeleteSessionResponse:
        self.deleted.append(request.session_id)
        return pb.DeleteSessionResponse()

    def changes(self) -> list[pb.Control]:
        return [request.control for request in self.said if request.HasField("control")]


async def abort(context: Context, error: AvatarError) -> None:
    details = [error_details_pb2.ErrorInfo(reason=error.reason)]
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        one = any_pb2.Any()
        one.Pack(detail)
        packed.append(one)
    code = getattr(grpc.StatusCode, error.code)
    await context.abort_with_status(
        rpc_status.to_status(status_pb2.Status(code=code.value[0], message=error.message, details=packed))
    )


def cut(context: Context) -> Any:
    return context.abort(grpc.StatusCode.UNAVAILABLE, "pulled the plug")


def closed(reason: int) -> Callable[[Context], list[pb.StreamResponse]]:
    status = pb.Status(state=pb.SESSION_STATE_CLOSED, reason=reason)  # type: ignore[arg-type]
    return lambda _: [pb.StreamResponse(status=status)]


def go_away(action: int, endpoint: str = "") -> pb.StreamResponse:
    return pb.StreamResponse(
        go_away=pb.GoAway(action=action, endpoint=endpoint, grace_s=1)  # type: ignore[arg-type]
    )


@asynccontextmanager
async def serving(peer: Peer, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_AvatarServiceServicer_to_server(peer, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
