"""A client that speaks the protocol by hand, so that tests can break its rules."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from avatar_client._gen import avatar_pb2 as pb
from avatar_client._gen import avatar_pb2_grpc
from avatar_client.errors import AvatarError
from avatar_client.pose import Pose, pack
from avatar_client.pose_file import PoseReader
from avatar_client.wire import error_from_rpc
from PIL import Image

from avatar_sdk.engine import Engine
from avatar_sdk.server import Server, ServerConfig

SIZE_PX = 128
ASSETS = Path(__file__).resolve().parent.parent / "avatar_sdk/assets"
POSES = PoseReader(ASSETS / "sample.poses")[:100]


def photo(size_px: int = 256) -> bytes:
    """The sample portrait, small."""
    out = io.BytesIO()
    Image.open(ASSETS / "sample_portrait.png").convert("RGB").resize((size_px, size_px)).save(out, "PNG")
    return out.getvalue()


def pose_message(seq: int, timestamp_us: int | None = None, pose: Pose | None = None, **changes: Any) -> Any:
    """Pose number `seq` of a driver at 25 poses a second."""
    face = (pose or POSES[seq % len(POSES)]).face
    message = pb.Pose(
        seq=seq,
        timestamp_us=40_000 * seq if timestamp_us is None else timestamp_us,
        face=pack(face),
        face_present=True,
        face_confidence=1.0,
    )
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def changed_face(index: int, value: float) -> bytes:
    """A face with one wrong coordinate."""
    face = POSES[0].face.copy()
    face.flat[index] = value
    return pack(face.astype(np.float32))


class RawStream:
    """One `Stream` call."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.seq = 0
        self.acknowledging = True
        self._writing = asyncio.Lock()

    async def send(self, **arm: Any) -> None:
        async with self._writing:
            await self.call.write(pb.StreamRequest(**arm))

    async def send_poses(self, count: int, interval_s: float = 0.02) -> None:
        for _ in range(count):
            self.seq += 1
            await self.send(pose=pose_message(self.seq))
            await asyncio.sleep(interval_s)

    async def read(self) -> Any:
        """The next message; None at the end. Frames are acknowledged.

        Raises what the server raised.
        """
        try:
            response = await self.call.read()
        except grpc.aio.AioRpcError as failure:
            raise restored(failure) from failure
        if response is grpc.aio.EOF:
            if await self.call.code() is not grpc.StatusCode.OK:
                raise AssertionError(await self.call.details())
            return None
        if response.WhichOneof("message") == "frame" and self.acknowledging:
            await self.send(ack=pb.Ack(frame_seq=response.frame.seq))
        return response

    async def until(self, arm: str, accept: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next `arm` that is accepted; others are read over."""
        while True:
            response = await self.read()
            assert response is not None, f"the stream ended without {arm}"
            if response.WhichOneof("message") == arm and accept(getattr(response, arm)):
                return getattr(response, arm)

    async def event(self, kind: Any) -> Any:
        return await self.until("event", lambda event: event.kind == kind)


class RawClient:
    """The five calls."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.stub = avatar_pb2_grpc.AvatarServiceStub(channel)

    async def call(self, name: str, **fields: Any) -> Any:
        """A unary call. Raises what the server raised."""
        try:
            return await getattr(self.stub, name)(getattr(pb, f"{name}Request")(**fields))
        except grpc.aio.AioRpcError as failure:
            raise restored(failure) from failure

    async def create(self, **fields: Any) -> Any:
        return await self.call("CreateSession", **{"portrait": photo(), "consent": True, **fields})

    async def open(self, created: Any, **config: Any) -> RawStream:
        """A stream up to its StreamReady."""
        stream = RawStream(self.stub.Stream())
        given = {"session_id": created.session_id, "resume_token": created.resume_token, **config}
        await stream.send(config=pb.StreamConfig(**given))
        stream.ready = await stream.until("ready")  # type: ignore[attr-defined]
        return stream


def restored(failure: grpc.aio.AioRpcError) -> AvatarError:
    return error_from_rpc(failure, "the server")


@asynccontextmanager
async def serving(engine: Engine, **config: Any) -> AsyncIterator[tuple[Server, RawClient]]:
    """A server on a free port and a client of it."""
    settings = {"port": 0, "size_px": SIZE_PX, "warm_up": False, "drain_grace_s": 0.1, **config}
    async with Server(ServerConfig(**settings), engine) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield server, RawClient(channel)


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns once `condition` holds; the test's own time limit is the only one."""
    while not condition():
        await asyncio.sleep(0.01)
