"""The service over a real socket: its calls, its streams, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
import simplejpeg
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import (
    AuthenticationError,
    InvalidConfigError,
    ServerDrainingError,
    SessionNotFoundError,
)
from avatar_client.frame import H264Decoder
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from service import SIZE_PX, RawClient, eventually, photo, pose_message, serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server, ServerConfig, serve
from avatar_sdk.session import SessionLimits


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=2))


async def test_the_server_says_what_it_is_and_how_full(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        await client.create()
        info = await client.call("GetServerInfo")
    assert (info.model, info.width_px, info.fps, info.max_sessions, info.free_sessions) == ("warp", SIZE_PX, 24, 2, 1)
    assert set(info.encodings) == {pb.ENCODING_JPEG, pb.ENCODING_H264, pb.ENCODING_RGB}
    assert not info.draining


async def test_poses_become_frames_that_say_where_they_come_from(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        created = await client.create(config=pb.SessionConfig(seed=5, neutral=pb.NEUTRAL_MODE_FIRST))
        assert created.faces == 1
        assert len(created.affine) == 6
        assert created.limits.resume_window_s == SessionLimits().resume_window_s
        stream = await client.open(created, user_agent="test")
        assert stream.ready.config.user_agent == "test"  # type: ignore[attr-defined]
        assert stream.ready.state == pb.SESSION_STATE_READY  # type: ignore[attr-defined]
        driver = asyncio.create_task(stream.send_poses(25, interval_s=0.04))
        assert (await stream.until("status")).state == pb.SESSION_STATE_GENERATING
        frames = [await stream.until("frame") for _ in range(15)]
        await driver
    assert all(frame.generated and frame.key and frame.encoding == pb.ENCODING_JPEG for frame in frames)
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
    fresh = [frame for frame in frames if frame.source == pb.MOTION_SOURCE_POSE]
    assert len(fresh) >= 10
    for frame in fresh:
        assert frame.pose_timestamp_us == 40_000 * frame.pose_seq
        spent = frame.timings
        assert spent.pose_to_frame_us >= spent.queue_us + spent.motion_us + spent.warp_us + spent.encode_us > 0
    pictures = [simplejpeg.decode_jpeg(frame.data) for frame in fresh]
    assert {picture.shape for picture in pictures} == {(SIZE_PX, SIZE_PX, 3)}
    assert np.abs(pictures[0].astype(int) - pictures[-1]).max() > 20


async def test_the_badge_is_drawn_unless_it_is_switched_off(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create(), encoding=pb.ENCODING_RGB)
        await stream.send(pose=pose_message(1))
        marked = await stream.until("frame")
        await stream.send(control=pb.Control(badge=False))
        await stream.send(ping=pb.Ping(timestamp_us=1))
        await stream.until("pong")
        await stream.until("frame")
        bare = await stream.until("frame")
    corners = [np.frombuffer(f.data, np.uint8).reshape(SIZE_PX, SIZE_PX, 3)[-20:, -20:] for f in (marked, bare)]
    assert corners[0].max() > 200 > corners[1].min()
    assert np.abs(corners[0].astype(int) - corners[1]).max() > 50


async def test_h264_starts_with_a_key_frame_on_every_stream_and_when_asked(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        created = await client.create()
        for _ in range(2):
            stream = await client.open(created, encoding=pb.ENCODING_H264)
            driver = asyncio.create_task(stream.send_poses(40))
            frames = [await stream.until("frame") for _ in range(4)]
            assert [frame.key for frame in frames] == [True, False, False, False]
            await stream.send(control=pb.Control(key_frame=True))
            await stream.until("frame", lambda frame: frame.key)
            decoder = H264Decoder()
            for frame in frames:
                decoder.push(frame.seq, frame.data, key=frame.key)
            driver.cancel()
            await asyncio.wait([driver])
            stream.call.cancel()
            await eventually(lambda: engine.free_slots == 1)


async def test_a_pause_stops_the_frames_and_a_ping_is_answered_meanwhile(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send_poses(2)
        await stream.until("frame")
        await stream.send(control=pb.Control(paused=True))
        await stream.send(ping=pb.Ping(timestamp_us=77, rtt_us=150_000))
        assert (await stream.until("pong")).timestamp_us == 77
        await asyncio.sleep(0.15)  # what was under way has arrived
        await stream.send(ping=pb.Ping(timestamp_us=78))
        await stream.until("pong", lambda pong: pong.timestamp_us == 78)
        await stream.send(ping=pb.Ping(timestamp_us=79))
        between = await stream.read()
        assert between.WhichOneof("message") == "pong"
        await stream.send(control=pb.Control(paused=False))
        await stream.until("frame")


async def test_a_session_is_changed_from_outside_its_stream(engine: Engine) -> None:
    async with serving(engine) as (server, client):
        created = await client.create()
        keys = {"session_id": created.session_id, "resume_token": created.resume_token}
        stream = await client.open(created)
        driver = asyncio.create_task(stream.send_poses(200))
        update = await client.call("UpdateSession", **keys, control=pb.Control(gains=pb.Gains(mouth=0.5)))
        assert update.faces == 0
        live = server.sessions.all[0].live
        assert live.avatar.retargeter.config.gains.mouth == 0.5
        update = await client.call("UpdateSession", **keys, portrait=photo(300), consent=True)
        assert update.faces == 1
        await stream.event(pb.EVENT_KIND_PORTRAIT_CHANGED)
        await client.call("UpdateSession", **keys, control=pb.Control(calibrate=True))
        await stream.event(pb.EVENT_KIND_CALIBRATED)
        await stream.until("frame")
        driver.cancel()
        await asyncio.wait([driver])
        await client.call("DeleteSession", **keys)
        closed = await stream.until("status", lambda status: status.state == pb.SESSION_STATE_CLOSED)
        assert closed.reason == pb.CLOSE_REASON_CLIENT
        with pytest.raises(SessionNotFoundError):
            await client.call("DeleteSession", **keys)
    assert engine.free_slots == 2


async def test_the_same_key_gives_the_same_session_even_at_once(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        first, second = await asyncio.gather(*(client.create(idempotency_key="k") for _ in range(2)))
        third = await client.create(idempotency_key="k")
        assert first.session_id == second.session_id == third.session_id
        assert (await client.create()).session_id != first.session_id
        assert engine.free_slots == 0


async def test_two_sessions_share_the_engine(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        streams = [await client.open(await client.create()) for _ in range(2)]
        drivers = [asyncio.create_task(stream.send_poses(100)) for stream in streams]
        for stream in streams * 5:
            await stream.until("frame", lambda frame: frame.source == pb.MOTION_SOURCE_POSE)
        for driver in drivers:
            driver.cancel()
        await asyncio.wait(drivers)


async def test_errors_carry_reason_field_and_time_to_come_back(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.CreateSession(pb.CreateSessionRequest(portrait=b"no", consent=True))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        details = rpc_status.from_call(caught.value).details
        assert details[0].Unpack(info)
        assert details[1].Unpack(bad)
        assert (info.reason, info.domain) == ("INVALID_PORTRAIT", "avatar-sdk")
        assert bad.field_violations[0].field == "portrait"
        await asyncio.gather(client.create(), client.create())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.CreateSession(pb.CreateSessionRequest(portrait=photo(), consent=True))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        retry = error_details_pb2.RetryInfo()
        assert rpc_status.from_call(caught.value).details[-1].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() > 0


async def test_calls_without_the_token_are_refused_but_health_is_not(engine: Engine) -> None:
    async with serving(engine, token="secret") as (_, client):
        with pytest.raises(AuthenticationError):
            await client.call("GetServerInfo")
        with pytest.raises(grpc.aio.AioRpcError, match="token is missing"):
            await client.stub.Stream().read()
        await client.stub.GetServerInfo(pb.GetServerInfoRequest(), metadata=(("authorization", "Bearer secret"),))
        assert await health(client) == health_pb2.HealthCheckResponse.SERVING


async def health(client: RawClient) -> int:
    stub = health_pb2_grpc.HealthStub(client.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service="avatar.v1.AvatarService"))
    return int(answer.status)


async def test_the_service_describes_itself_on_loopback(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        listed = [service.name async for answer in call for service in answer.list_services_response.service]
    assert {"avatar.v1.AvatarService", "grpc.health.v1.Health"} <= set(listed)


async def test_metrics_count_what_happened(engine: Engine) -> None:
    async with serving(engine, metrics_port=0) as (server, client):
        stream = await client.open(await client.create())
        driver = asyncio.create_task(stream.send_poses(12))
        await stream.until("frame", lambda frame: frame.pose_seq == 12)
        await driver
        url = f"http://127.0.0.1:{server.metrics_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["avatar_sessions"] == "1.0"
    assert values["avatar_free_slots"] == "1.0"
    assert float(values['avatar_frames_total{source="pose"}']) >= 3
    assert float(values["avatar_pose_to_frame_seconds_count"]) >= 3
    assert float(values['avatar_stage_seconds_count{stage="warp"}']) >= 3


async def test_a_draining_server_says_goodbye_and_serves_on_for_its_grace(engine: Engine) -> None:
    async with serving(engine, drain_grace_s=1.0) as (server, client):
        stream = await client.open(await client.create())
        driver = asyncio.create_task(stream.send_poses(1000))
        await stream.until("frame")
        stopping = asyncio.create_task(server.stop())
        leave = await stream.until("go_away")
        assert (leave.action, leave.reason) == (pb.GO_AWAY_ACTION_RECONNECT, pb.CLOSE_REASON_DRAIN)
        assert leave.grace_s == 1.0
        await stream.until("frame")
        assert await health(client) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert (await client.call("GetServerInfo")).draining
        with pytest.raises(ServerDrainingError):
            await client.create()
        closed = await stream.until("status", lambda status: status.state == pb.SESSION_STATE_CLOSED)
        assert closed.reason == pb.CLOSE_REASON_DRAIN
        await stopping
        driver.cancel()
        await asyncio.wait([driver])
    assert engine.free_slots == 2


async def test_sigterm_drains(engine: Engine) -> None:
    servers: list[Server] = []
    config = ServerConfig(port=0, size_px=SIZE_PX, warm_up=False, drain_grace_s=0.1)
    serving_on = asyncio.create_task(serve(config, engine, servers.append))
    await eventually(lambda: bool(servers))
    async with grpc.aio.insecure_channel(servers[0].address) as channel:
        client = RawClient(channel)
        stream = await client.open(await client.create())
        os.kill(os.getpid(), signal.SIGTERM)
        await stream.until("go_away")
        await stream.until("status", lambda status: status.reason == pb.CLOSE_REASON_DRAIN)
        await serving_on
    assert engine.free_slots == 2


async def test_a_warm_server_has_made_frames_before_it_answers(engine: Engine) -> None:
    async with serving(engine, warm_up=True) as (_, client):
        assert (await client.call("GetServerInfo")).free_sessions == 2


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"host": "0.0.0.0"}, "reached from other machines"),
        ({"host": "0.0.0.0", "token": "t"}, "reached from other machines"),
        ({"certificate": Path("c.pem")}, "both a certificate and a key"),
        ({"port": 70_000}, "port is 70000"),
    ],
)
def test_an_open_door_needs_a_word(changes: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidConfigError, match=match):
        replace(ServerConfig(), **changes)  # type: ignore[arg-type]
    assert ServerConfig(host="0.0.0.0", insecure=True).insecure


async def test_unreadable_tls_files_are_a_typed_error(engine: Engine, tmp_path: Path) -> None:
    config = ServerConfig(port=0, certificate=tmp_path / "none.pem", key=tmp_path / "none.key", warm_up=False)
    with pytest.raises(InvalidConfigError, match="TLS files cannot be read"):
        async with Server(config, engine):
            pass


async def test_a_server_that_could_not_start_gives_its_port_back(engine: Engine) -> None:
    async with serving(engine, metrics_port=0) as (first, _):
        async with serving(engine) as (second, _):
            port = int(second.address.rpartition(":")[2])
        config = ServerConfig(port=port, metrics_port=first.metrics_port, warm_up=False, drain_grace_s=0.1)
        with pytest.raises(InvalidConfigError, match="metrics port"):
            async with Server(config, engine):
                pass
        async with Server(replace(config, metrics_port=None), engine) as server:
            assert server.address.endswith(f":{port}")


def test_a_half_trained_checkpoint_is_not_served(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.runtime, "trained_stages", ("codec",))
    with pytest.raises(InvalidConfigError, match="its generator is not"):
        Server(ServerConfig(port=0), engine)
