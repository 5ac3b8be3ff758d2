"""What the web port costs: WebSocket against gRPC in turns, and a crowd at the door while a session runs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import grpc
from avatar_client._gen import avatar_pb2 as pb
from avatar_client._gen.avatar_pb2_grpc import AvatarServiceStub
from avatar_client.clock import monotonic_us
from avatar_client.errors import InvalidVideoError, TimeoutExceededError
from avatar_client.pose_file import PoseReader
from avatar_client.transport import CHANNEL_OPTIONS
from avatar_client.wire import pose_to_proto
from websockets.asyncio.client import connect

from avatar_sdk.bench.service import percentiles_ms
from avatar_sdk.bench.storm import Storm
from avatar_sdk.bench.visits import Visits, run_visits
from avatar_sdk.local_server import LocalServer, LocalServerConfig
from avatar_sdk.machine import Machine
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES, forth_and_back

T = TypeVar("T")

ROUNDS: Final = 3
"""Turns of either transport: what else the machine does meets both."""
WARM_UP_S: Final = 2.0
STORM_HZ: Final = 1000.0
STORM_S: Final = 5.0
VISITS: Final = 100


@dataclass(frozen=True)
class WebCost:
    """What was measured. Latencies from the pose's capture to its frame's arrival, in milliseconds.

    Attributes:
        machine: where.
        model: what made the frames.
        grpc_ms, web_ms: percentile → latency.
        added_p50_ms: what WebSocket adds to gRPC.
        ratio_p50: of WebSocket to gRPC.
        fps_before, fps_during: generated frames a second of a session, alone and while a crowd comes.
        before_ms, during_ms: its latency.
        storm: how the crowd fared.
        visits: what sessions that came and went left behind.
    """

    machine: Machine
    model: str
    grpc_ms: dict[str, float]
    web_ms: dict[str, float]
    added_p50_ms: float
    ratio_p50: float
    fps_before: float
    fps_during: float
    before_ms: dict[str, float]
    during_ms: dict[str, float]
    storm: Storm
    visits: Visits

    def __str__(self) -> str:
        def spread(values: dict[str, float]) -> str:
            return "  ".join(f"{name} {value:.1f}" for name, value in values.items())

        return "\n".join(
            [
                f"  gRPC             {spread(self.grpc_ms)} ms",
                f"  WebSocket        {spread(self.web_ms)} ms: p50 {self.added_p50_ms:+.2f} ms, × {self.ratio_p50:.3f}",
                f"  before the crowd {self.fps_before:.1f} frames/s, {spread(self.before_ms)} ms",
                f"  during it        {self.fps_during:.1f} frames/s, {spread(self.during_ms)} ms",
                f"  the crowd        {self.storm.visits} connections, {self.storm.rate_hz:.0f} a second: "
                + ", ".join(f"{count} {end}" for end, count in self.storm.ends.items()),
                f"  {self.visits}",
            ]
        )

    def save(self, path: Path) -> None:
        """Writes everything as JSON.

        Raises:
            InvalidVideoError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        except OSError as error:
            raise InvalidVideoError(f"the figures {path} cannot be written: {error.strerror}") from error


@dataclass(frozen=True)
class Driven:
    """One session that was driven for some seconds.

    Attributes:
        latencies_us: from capture to arrival, of every frame of a new pose. Unit: microseconds.
        seconds: how long.
    """

    latencies_us: list[int]
    seconds: float

    @property
    def fps(self) -> float:
        """Generated frames a second."""
        return round(len(self.latencies_us) / self.seconds, 1)


class Pipe(Protocol):
    """One stream, over either transport."""

    async def send(self, request: pb.StreamRequest) -> None:
        """Sends one request."""

    async def receive(self) -> Any:
        """The next StreamResponse."""


class GrpcPipe:
    """Over gRPC."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._writing = asyncio.Lock()

    async def send(self, request: pb.StreamRequest) -> None:
        """Sends one request."""
        async with self._writing:  # gRPC takes one write at a time
            await self._call.write(request)

    async def receive(self) -> Any:
        """The next StreamResponse."""
        return await self._call.read()


class WebPipe:
    """Over WebSocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send(self, request: pb.StreamRequest) -> None:
        """Sends one request."""
        await self._socket.send(request.SerializeToString())

    async def receive(self) -> Any:
        """The next StreamResponse."""
        return pb.StreamResponse.FromString(await self._socket.recv())


class Service:
    """The service under test and its calls."""

    def __init__(self, server: LocalServer, stub: Any, rate_hz: float) -> None:
        self._stub = stub
        self._interval_s = 1 / rate_hz
        self._socket = server.page.replace("http", "ws", 1) + "v1/stream"
        self._photo = SAMPLE_PORTRAIT.read_bytes()

    @asynccontextmanager
    async def grpc(self) -> AsyncIterator[Pipe]:
        """A stream over gRPC."""
        call = self._stub.Stream()
        yield GrpcPipe(call)
        call.cancel()

    @asynccontextmanager
    async def web(self) -> AsyncIterator[Pipe]:
        """A stream over WebSocket."""
        async with connect(self._socket, subprotocols=["avatar.v1"], compression=None, max_size=None) as socket:  # type: ignore[list-item]
            yield WebPipe(socket)

    async def drive(self, opened: Callable[[], Any], work: Awaitable[T]) -> tuple[Driven, T]:
        """A session of its own, for as long as `work` takes; and what that gives."""
        keys = await self._create()
        samples: list[int] = []
        async with opened() as pipe:
            await pipe.send(pb.StreamRequest(config=pb.StreamConfig(**keys)))
            tasks = [asyncio.create_task(self._drive(pipe)), asyncio.create_task(self._read(pipe, samples))]
            await asyncio.sleep(WARM_UP_S)
            samples.clear()
            start_us = monotonic_us()
            done = await work
            driven = Driven(samples.copy(), (monotonic_us() - start_us) / 1e6)
            for task in tasks:
                if task.done():
                    task.result()  # why it broke
                task.cancel()
            await asyncio.wait(tasks)
        await self._stub.DeleteSession(pb.DeleteSessionRequest(**keys))
        if not driven.latencies_us:
            raise TimeoutExceededError("the service generated no frame; `avatar doctor` may say why")
        return driven, done

    async def visit(self) -> None:
        """A session from its creation over WebSocket and its first frame to its end."""
        keys = await self._create()
        async with self.web() as pipe:
            await pipe.send(pb.StreamRequest(config=pb.StreamConfig(**keys)))
            await pipe.send(pb.StreamRequest(pose=pose_to_proto(PoseReader(SAMPLE_POSES)[0], 1)))
            while (await pipe.receive()).WhichOneof("message") != "frame":
                pass
        await self._stub.DeleteSession(pb.DeleteSessionRequest(**keys))

    async def free_slots(self) -> int:
        """Sessions that the service could still hold."""
        return int((await self._stub.GetServerInfo(pb.GetServerInfoRequest())).free_sessions)

    async def _create(self) -> dict[str, Any]:
        created = await self._stub.CreateSession(pb.CreateSessionRequest(portrait=self._photo, consent=True))
        return {"session_id": created.session_id, "resume_token": created.resume_token}

    async def _drive(self, pipe: Pipe) -> None:
        due_s = asyncio.get_running_loop().time()
        for seq, pose in enumerate(forth_and_back(PoseReader(SAMPLE_POSES)), 1):
            await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
            message = pose_to_proto(pose, seq)
            message.timestamp_us = monotonic_us()
            await pipe.send(pb.StreamRequest(pose=message))
            due_s += self._interval_s

    async def _read(self, pipe: Pipe, samples: list[int]) -> None:
        while True:
            response = await pipe.receive()
            if response.WhichOneof("message") == "frame":
                if response.frame.source == pb.MOTION_SOURCE_POSE:
                    samples.append(monotonic_us() - response.frame.pose_timestamp_us)
                await pipe.send(pb.StreamRequest(ack=pb.Ack(frame_seq=response.frame.seq)))


def run_web(model: str, seconds: float, rate_hz: float, say: Callable[[str], None]) -> WebCost:
    """Measures both transports for `seconds` each, in turns, then a session while a crowd comes.

    Raises:
        AvatarError: the service cannot be started, or makes no frames.
    """
    machine = Machine.here()
    say(str(machine))
    say(f"\nmodel {model}: {ROUNDS} turns of gRPC and WebSocket, {seconds / ROUNDS:g} s each at {rate_hz:g} poses/s …")
    with LocalServer(LocalServerConfig(model=model, web_port=0)) as server:
        cost = asyncio.run(_measure(server, machine, model, seconds, rate_hz))
    say(str(cost))
    return cost


async def _measure(server: LocalServer, machine: Machine, model: str, seconds: float, rate_hz: float) -> WebCost:
    over_grpc: list[int] = []
    over_web: list[int] = []
    async with grpc.aio.insecure_channel(server.target, list(CHANNEL_OPTIONS)) as channel:
        service = Service(server, AvatarServiceStub(channel), rate_hz)
        for _ in range(ROUNDS):
            for opened, latencies_us in ((service.grpc, over_grpc), (service.web, over_web)):
                driven, _ = await service.drive(opened, asyncio.sleep(seconds / ROUNDS))
                latencies_us += driven.latencies_us
        before, _ = await service.drive(service.web, asyncio.sleep(STORM_S))
        during, storm = await service.drive(service.web, _crowd(server))
        visits = await run_visits(server, service.visit, service.free_slots, VISITS)
    grpc_ms, web_ms = percentiles_ms(over_grpc), percentiles_ms(over_web)
    return WebCost(
        machine,
        model,
        grpc_ms,
        web_ms,
        round(web_ms["p50"] - grpc_ms["p50"], 2),
        round(web_ms["p50"] / grpc_ms["p50"], 3),
        before.fps,
        during.fps,
        percentiles_ms(before.latencies_us),
        percentiles_ms(during.latencies_us),
        storm,
        visits,
    )


async def _crowd(server: LocalServer) -> Storm:
    address = urlsplit(server.page)
    words = (str(address.hostname), str(address.port), str(STORM_HZ), str(STORM_S))
    command = (sys.executable, "-m", "avatar_sdk.bench.storm", *words)
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await program.communicate()
    return Storm(**json.loads(said))
