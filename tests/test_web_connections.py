"""Crowds at the web port: who says nothing, or too much, does not stay, and sessions do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Awaitable
from typing import TypeVar

import pytest
from avatar_client._gen import avatar_pb2 as pb
from service import eventually
from web_service import WebClient, WebStream, web_serving

from avatar_sdk.bench.storm import Storm
from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server
from avatar_sdk.server.config import WebLimits
from avatar_sdk.server.web.connections import Connections
from avatar_sdk.server.web.stream import SocketRequests

T = TypeVar("T")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


def port_of(client: WebClient) -> int:
    return int(client.url.rstrip("/").rpartition(":")[2])


def open_connections(server: Server) -> int:
    assert server.web is not None
    return len(server.web.connections)


async def say(client: WebClient, *parts: bytes) -> bytes:
    """What the server answers to raw bytes until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(client))
    answer = b""
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        answer = await reader.read()
    return answer


async def test_who_says_nothing_or_never_ends_is_cut(engine: Engine) -> None:
    async with web_serving(engine, web_limits=WebLimits(request_timeout_s=0.2)) as (server, client):
        silent = say(client)
        half = say(client, b"GET / HTTP/1.1\r\nHost: loc")
        endless = say(client, b"GET / HTTP/1.1\r\n", *[b"X: " + b"y" * 8000 + b"\r\n"] * 12)
        later = say(client, b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /")
        answers = await asyncio.gather(silent, half, endless, later)
        assert answers[:3] == [b"", b"", b""]
        assert answers[3].startswith(b"HTTP/1.1 200 OK")
        await eventually(lambda: open_connections(server) == 0)


async def test_what_is_no_http_is_answered_as_such(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        assert (await say(client, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")).startswith(b"HTTP/1.1 400")
        await eventually(lambda: open_connections(server) == 0)


async def test_connections_beyond_the_bound_are_cut_unread_and_later_ones_pass(engine: Engine) -> None:
    limits = WebLimits(connections=3, request_timeout_s=60)
    async with web_serving(engine, web_limits=limits) as (server, client):
        held = [await asyncio.open_connection("127.0.0.1", port_of(client)) for _ in range(3)]
        await eventually(lambda: open_connections(server) == 3)
        assert await say(client, b"GET /v1/info HTTP/1.1\r\n\r\n") == b""
        held[0][1].close()
        await eventually(lambda: open_connections(server) == 2)
        assert (await client.http.get("/v1/info")).status_code == 200
        for _, writer in held:
            writer.close()


async def test_the_oldest_silent_connection_gives_way_to_a_new_one(engine: Engine) -> None:
    async with web_serving(engine, web_limits=WebLimits(attempts=2)) as (server, client):
        held = [await asyncio.open_connection("127.0.0.1", port_of(client)) for _ in range(2)]
        await eventually(lambda: open_connections(server) == 2)
        assert (await client.http.get("/v1/info")).status_code == 200
        assert await held[0][0].read() == b""
        for _, writer in held:
            writer.close()


async def test_a_socket_that_asks_for_answers_and_reads_none_does_not_fill_the_memory(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        assert server.web is not None
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", port_of(client)))
        stream = await client.socket(sock=deaf)
        stream.socket.transport.pause_reading()
        stream.socket.transport.write((b"\x89\xfd" + bytes(4) + bytes(125)) * 50_000)
        connections = server.web.connections

        def waiting_bytes() -> int:
            return max(transport.get_write_buffer_size() for transport in connections.transports)

        await eventually(lambda: waiting_bytes() > 1 << 16)
        await asyncio.sleep(0.5)  # time for all that was asked
        assert waiting_bytes() < 1 << 20
        stream.socket.transport.abort()


async def test_a_message_in_ever_more_pieces_is_cut(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        stream = await client.open(created)
        stream.socket.transport.write(b"\x02\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 100)
        assert await stream.closed() == 1006
        await client.open(created)


class FullSocket:
    """Stands for a socket on which everything has arrived already."""

    async def receive(self) -> dict[str, object]:
        return {"type": "websocket.receive", "bytes": b""}


async def test_messages_that_came_all_at_once_leave_others_their_turn() -> None:
    requests = SocketRequests(FullSocket(), lambda: None)  # type: ignore[arg-type]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(other())
    for _ in range(80):
        await anext(requests)
    assert turns >= 9
    beside.cancel()


async def test_the_rate_of_new_connections_is_bounded_and_recovers() -> None:
    connections = Connections(WebLimits(attempts_per_s=50))
    connections.start()
    assert [connections.admit() for _ in range(60)].count(True) == 50
    assert connections.refused == 10
    await asyncio.sleep(0.1)
    assert 4 <= [connections.admit() for _ in range(60)].count(True) <= 20
    await connections.stop()


async def frames_during(stream: WebStream, work: Awaitable[T]) -> tuple[float, T]:
    """Frames of new poses a second that come while `work` is done, and what it gives."""
    start, frames = time.monotonic(), 0
    working = asyncio.ensure_future(work)
    while not working.done():
        frame = await stream.until("frame")
        frames += frame.source == pb.MOTION_SOURCE_POSE
    return frames / (time.monotonic() - start), await working


async def crowd(client: WebClient) -> Storm:
    """A thousand connections in a second, from a process of their own."""
    command = (sys.executable, "-m", "avatar_sdk.bench.storm", "127.0.0.1", str(port_of(client)), "1000", "1")
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await program.communicate()
    return Storm(**json.loads(said))


async def test_a_thousand_connections_a_second_leave_nothing_behind_and_a_session_runs_on(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = WebLimits(attempts_per_s=20)  # so that a busy machine's crowd is one, too
    async with web_serving(engine, first_message_timeout_s=1.0, web_limits=limits) as (server, client):
        stream = await client.open(await client.create())
        driver = asyncio.create_task(stream.send_poses(100_000, interval_s=0.033))
        before, _ = await frames_during(stream, asyncio.sleep(1.5))
        during, storm = await frames_during(stream, crowd(client))
        with capsys.disabled():
            sys.stdout.write(f"\n{storm}: frames/s {before:.1f} before, {during:.1f} during\n")
        assert during > 0
        assert sum(storm.ends.values()) == storm.visits
        assert storm.ends["cut"] > 0
        await eventually(lambda: open_connections(server) <= 2)
        await asyncio.sleep(0.2)  # by then somebody else may come
        assert (await client.call("GetServerInfo")).model == "warp"
        await stream.until("frame")
        driver.cancel()
        await asyncio.wait([driver])
