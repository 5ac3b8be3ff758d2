"""The service over HTTP and WebSocket: the same calls and conversations as over gRPC, from beginning to end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import urllib.request
import weakref
from typing import Any

import pytest
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import ServerDrainingError, SessionNotFoundError
from service import SIZE_PX, RawClient, eventually, photo, pose_message, serving
from web_service import WebClient, WebStream, web_serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server, ServerConfig, serve
from avatar_sdk.server.web.connections import SocketConnection
from avatar_sdk.session import SessionLimits


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=2))


async def test_the_server_says_what_it_is_and_how_full(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        await client.create()
        info = await client.call("GetServerInfo")
    assert (info.model, info.width_px, info.max_sessions, info.free_sessions) == ("warp", SIZE_PX, 2, 1)


async def test_poses_become_frames_that_say_where_they_come_from(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create(), user_agent="test")
        assert stream.socket.subprotocol == "avatar.v1"
        assert not stream.socket.protocol.extensions
        assert stream.ready.config.user_agent == "test"
        driver = asyncio.create_task(stream.send_poses(25, interval_s=0.04))
        frames = [await stream.until("frame") for _ in range(15)]
        await driver
    fresh = [frame for frame in frames if frame.source == pb.MOTION_SOURCE_POSE]
    assert len(fresh) >= 10
    assert all(frame.pose_timestamp_us == 40_000 * frame.pose_seq for frame in fresh)
    assert all(frame.generated and frame.timings.pose_to_frame_us > 0 for frame in fresh)


async def pictures(client: RawClient | WebClient, encoding: int) -> list[bytes]:
    """What a session of seed 7 shows for six poses that depend on nothing but the pose."""
    config = pb.SessionConfig(seed=7, neutral=pb.NEUTRAL_MODE_ABSOLUTE, smoothing=False)
    stream = await client.open(await client.create(config=config), encoding=encoding)
    shown = []
    for seq in range(1, 7):
        await stream.send(pose=pose_message(seq))
        frame = await stream.until("frame", lambda frame, seq=seq: frame.pose_seq == seq)
        assert frame.encoding == encoding
        shown.append(frame.data)
    return shown


@pytest.mark.parametrize("encoding", [pb.ENCODING_RGB, pb.ENCODING_JPEG])
async def test_the_same_poses_and_seed_give_the_same_bytes_as_over_grpc(engine: Engine, encoding: int) -> None:
    async with serving(engine) as (_, client):
        expected = await pictures(client, encoding)
    async with web_serving(engine) as (_, web):
        assert await pictures(web, encoding) == expected
    assert len(set(expected)) == len(expected)


async def test_both_transports_share_the_sessions(engine: Engine) -> None:
    async with web_serving(engine) as (server, web):
        created = await web.create(idempotency_key="k")
        stream = await web.open(created)
        await still_lives(stream)
        assert len(server.sessions) == 1
        assert (await web.create(idempotency_key="k")).session_id == created.session_id
        await web.call("DeleteSession", session_id=created.session_id, resume_token=created.resume_token)
        closed = await stream.until("status", lambda status: status.state == pb.SESSION_STATE_CLOSED)
        assert closed.reason == pb.CLOSE_REASON_CLIENT
        assert await stream.closed() == 1000
    assert engine.free_slots == 2


async def test_a_session_is_changed_while_its_stream_runs(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        created = await client.create()
        keys = {"session_id": created.session_id, "resume_token": created.resume_token}
        stream = await client.open(created)
        await stream.send(control=pb.Control(gains=pb.Gains(mouth=0.5)))
        await stream.send(ping=pb.Ping(timestamp_us=77))
        assert (await stream.until("pong")).timestamp_us == 77
        assert server.sessions.all[0].live.avatar.retargeter.config.gains.mouth == 0.5
        assert (await client.call("UpdateSession", **keys, portrait=photo(300), consent=True)).faces == 1
        await stream.event(pb.EVENT_KIND_PORTRAIT_CHANGED)
        await still_lives(stream)


async def test_a_cut_socket_is_taken_up_again(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        created = await client.create()
        stream = await client.open(created)
        assert not stream.ready.resumed
        await still_lives(stream)
        stream.socket.transport.abort()
        await eventually(lambda: server.sessions.all[0].live.core.state.value == "reconnecting")
        again = await client.open(created)
        assert again.ready.resumed
        await still_lives(again)


async def test_a_page_that_stopped_reading_is_fresh_again_by_its_third_frame(engine: Engine) -> None:
    async with web_serving(engine, limits=SessionLimits(reader_stall_s=0.3)) as (server, client):
        stream = await client.open(await client.create())
        core = server.sessions.all[0].live.core
        driver = asyncio.create_task(stream.send_poses(10_000))
        await stream.until("frame")
        await eventually(lambda: core.due_us() is None)  # nothing was acknowledged for the stall time
        assert core.frames_dropped > 0
        before = stream.seq
        frames = [await stream.until("frame") for _ in range(3)]
        assert frames[-1].pose_seq >= before
        await stop(driver)


async def test_a_hundred_sockets_that_came_and_went_leave_nothing_behind(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        assert server.web is not None
        connections = server.web.connections
        created = await client.create()
        core = server.sessions.all[0].live.core

        async def come_and_go(cut: bool) -> None:
            stream = await client.open(created)
            if cut:
                stream.socket.transport.abort()
            else:
                await stream.socket.close()
            await eventually(lambda: core.state.value == "reconnecting")

        await come_and_go(cut=True)
        await eventually(lambda: len(connections) <= 1)  # the HTTP client keeps one
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        for cycle in range(100):
            await come_and_go(cut=cycle % 2 == 0)
        await eventually(lambda: len(connections) <= 1 and len(asyncio.all_tasks()) <= tasks)
        assert threading.active_count() <= threads
        assert (len(server.sessions), engine.free_slots) == (1, 1)
    assert engine.free_slots == 2


@pytest.mark.parametrize("cut", [True, False])
async def test_what_a_stream_held_is_free_at_once_and_does_not_wait_for_the_garbage_collector(
    engine: Engine, cut: bool
) -> None:
    async with web_serving(engine) as (server, client):
        created = await client.create()
        gc.collect()
        gc.disable()
        try:
            stream = await client.open(created)
            await still_lives(stream)
            assert server.web is not None
            protocols = [transport.get_protocol() for transport in server.web.connections.transports]
            held: list[weakref.ref[Any]] = [weakref.ref(one) for one in protocols if isinstance(one, SocketConnection)]
            held.append(weakref.ref(server.sessions.all[0].live._stream))
            del protocols
            assert len(held) == 2
            if cut:
                stream.socket.transport.abort()
            else:
                await stream.socket.close()
            await eventually(lambda: not any(one() for one in held))
        finally:
            gc.enable()


async def test_web_streams_are_counted_with_the_others(engine: Engine) -> None:
    async with web_serving(engine, metrics_port=0) as (server, client):
        stream = await client.open(await client.create())
        await still_lives(stream)
        url = f"http://127.0.0.1:{server.metrics_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['avatar_streams{transport="web"}'] == "1.0"
    assert float(values["avatar_web_connections"]) >= 1
    assert values["avatar_web_connections_refused"] == "0.0"
    assert float(values['avatar_frames_total{source="pose"}']) >= 1
    assert float(values["avatar_pose_to_frame_seconds_count"]) >= 1


async def test_a_draining_server_says_goodbye_and_closes_with_going_away(engine: Engine) -> None:
    async with web_serving(engine, drain_grace_s=0.5) as (server, client):
        stream = await client.open(await client.create())
        waiting = await client.socket()
        await still_lives(stream)
        stopping = asyncio.create_task(server.stop())
        goodbye = await stream.until("go_away")
        assert (goodbye.action, goodbye.grace_s) == (pb.GO_AWAY_ACTION_RECONNECT, 0.5)
        with pytest.raises(ServerDrainingError):
            await waiting.read()
        assert await waiting.closed() == 4014
        with pytest.raises(ServerDrainingError):
            await client.create()
        closed = await stream.until("status", lambda status: status.state == pb.SESSION_STATE_CLOSED)
        assert closed.reason == pb.CLOSE_REASON_DRAIN
        assert await stream.closed() == 1001
        await stopping
    assert engine.free_slots == 2


async def test_a_signal_ends_the_page_and_its_streams_in_good_order(engine: Engine) -> None:
    servers: list[Server] = []
    config = ServerConfig(port=0, web_port=0, size_px=SIZE_PX, warm_up=False, drain_grace_s=0.1)
    running = asyncio.create_task(serve(config, engine, servers.append))
    await eventually(lambda: bool(servers))
    assert servers[0].web is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(servers[0].web.url.split(":")[-1].rstrip("/")))
    writer.write(b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await reader.readline()
    os.kill(os.getpid(), signal.SIGINT)
    await running
    await reader.read()
    writer.close()
    assert engine.free_slots == 2


async def test_the_same_session_is_not_found_after_its_end(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        keys = {"session_id": created.session_id, "resume_token": created.resume_token}
        await client.call("DeleteSession", **keys)
        with pytest.raises(SessionNotFoundError):
            await client.call("DeleteSession", **keys)
        with pytest.raises(SessionNotFoundError):
            await client.open(created)


async def still_lives(stream: WebStream) -> None:
    """The stream goes on: a good pose gets its frame."""
    stream.seq += 100
    await stream.send(pose=pose_message(stream.seq))
    await stream.until("frame", lambda frame: frame.pose_seq == stream.seq)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
