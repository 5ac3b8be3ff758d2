"""Whatever a page does wrong: it hears what, by the same words as over gRPC, and nothing else is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import (
    AuthenticationError,
    AvatarError,
    InvalidConfigError,
    InvalidInputError,
    InvalidPortraitError,
    NoCapacityError,
    ProtocolError,
    SessionBusyError,
    SessionNotFoundError,
    SessionStateLostError,
    TimeoutExceededError,
)
from service import eventually, photo, pose_message
from web_service import PROTO, WebStream, restored, web_serving
from websockets.exceptions import InvalidStatus

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server.config import WebLimits
from avatar_sdk.session import SessionLimits


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


async def still_lives(stream: WebStream) -> None:
    stream.seq += 100
    await stream.send(pose=pose_message(stream.seq))
    await stream.until("frame", lambda frame: frame.pose_seq == stream.seq)


async def ends_with(stream: WebStream, error: type[AvatarError], match: str, code: int) -> None:
    with pytest.raises(error, match=match):
        await stream.until("nothing more")
    assert await stream.closed() == code


@pytest.mark.parametrize(
    ("message", "match"),
    [
        ("hello", "a text message came"),
        (b"\xff\xff\xff", "is no StreamRequest"),
        (bytes(300_000), "has 300000 bytes; at most 262144"),
    ],
)
async def test_a_message_that_is_none_ends_the_stream_by_name_but_not_the_session(
    engine: Engine, message: str | bytes, match: str
) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        stream = await client.open(created)
        await stream.socket.send(message)
        await ends_with(stream, InvalidInputError, match, 4003)
        await still_lives(await client.open(created))


async def test_a_message_beyond_all_bounds_is_cut_off_by_the_transport(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        stream = await client.open(created)
        await stream.socket.send(bytes(2 << 20))
        assert await stream.read() is None
        assert await stream.closed() == 1009
        await still_lives(await client.open(created))


async def test_a_socket_that_does_not_begin_with_its_configuration_is_refused(engine: Engine) -> None:
    async with web_serving(engine, first_message_timeout_s=0.2) as (_, client):
        stream = await client.socket()
        await stream.send(pose=pose_message(1))
        await ends_with(stream, ProtocolError, "first message is pose", 4009)
        await ends_with(await client.socket(), TimeoutExceededError, "no StreamConfig", 4004)
        stranger = await client.socket(subprotocols=None)
        await ends_with(stranger, ProtocolError, "subprotocol avatar.v1", 4009)


async def test_a_second_configuration_ends_the_stream(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send(config=pb.StreamConfig())
        await ends_with(stream, ProtocolError, "second StreamConfig", 4009)


@pytest.mark.parametrize(
    ("config", "error", "match", "code"),
    [
        ({"session_id": "nobody"}, SessionNotFoundError, "'nobody' does not exist", 4005),
        ({"resume_token": "guessed"}, AuthenticationError, "resume_token", 4016),
        ({"encoding": 77}, InvalidConfigError, "encoding is 77", 4003),
    ],
)
async def test_a_wrong_configuration_is_refused_by_name(
    engine: Engine, config: dict[str, object], error: type[AvatarError], match: str, code: int
) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        stream = await client.socket()
        given = {"session_id": created.session_id, "resume_token": created.resume_token, **config}
        await stream.send(config=pb.StreamConfig(**given))
        await ends_with(stream, error, match, code)
        await still_lives(await client.open(created))


async def test_a_second_socket_is_refused_while_the_first_one_speaks_and_takes_over_when_it_is_silent(
    engine: Engine,
) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        first = await client.open(created)
        with pytest.raises(SessionBusyError):
            await client.open(created)
        await still_lives(first)
    async with web_serving(engine, limits=SessionLimits(takeover_s=0.0)) as (_, client):
        created = await client.create()
        silent, successor = await client.open(created), await client.open(created)
        await ends_with(silent, SessionBusyError, "took this session over", 4006)
        await still_lives(successor)


async def test_a_failed_step_ends_its_stream_with_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine.load(EngineConfig(model="warp", slots=1))
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create())
        with monkeypatch.context() as broken:
            broken.setattr(engine.runtime, "predict", lambda *_: 1 / 0)
            await stream.send(pose=pose_message(1))
            await ends_with(stream, SessionStateLostError, "ZeroDivisionError", 4010)
        await eventually(lambda: engine.free_slots == 1)


async def test_a_fault_of_ours_is_told_apart_from_theirs_and_ends_one_stream_only(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_serving(engine) as (server, client):
        created = await client.create()
        with monkeypatch.context() as broken:
            broken.setattr(server.calls, "entry", lambda _: 1 / 0)
            stream = await client.socket()
            await stream.send(config=pb.StreamConfig())
            await ends_with(stream, AvatarError, "the server failed", 4013)
            answer = await client.post("DeleteSession", b"")
            assert answer.status_code == 500
            assert restored(answer).reason == "INTERNAL"
        await still_lives(await client.open(created))


async def test_a_page_that_takes_nothing_and_says_otherwise_is_cut_and_its_frames_do_not_pile_up(
    engine: Engine,
) -> None:
    limits = WebLimits(write_timeout_s=0.3)
    async with web_serving(engine, size_px=256, web_limits=limits) as (server, client):
        created = await client.create()
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        assert server.web is not None
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", int(server.web.url.rstrip("/")[-5:])))
        stream = await client.socket(sock=deaf, max_queue=1)
        keys = {"session_id": created.session_id, "resume_token": created.resume_token}
        await stream.send(config=pb.StreamConfig(**keys, encoding=pb.ENCODING_RGB))
        live = server.sessions.all[0].live
        most = 0
        while live.core.state.value != "reconnecting":
            await stream.send_poses(1)
            await stream.send(ack=pb.Ack(frame_seq=2**60))
            if live._stream is not None:
                most = max(most, len(live._stream._frames))
        assert most <= 8
        await still_lives(await client.open(created))


async def test_too_many_sockets_that_wait_give_way_oldest_first(engine: Engine) -> None:
    async with web_serving(engine, web_limits=WebLimits(attempts=3)) as (_, client):
        created = await client.create()
        waiting = [await client.socket() for _ in range(5)]
        for stream in waiting[:2]:
            await ends_with(stream, NoCapacityError, "3 sockets wait", 4008)
        running = await client.open(created)
        await ends_with(waiting[2], NoCapacityError, "3 sockets wait", 4008)
        await still_lives(running)
        assert all(stream.close_code is None for stream in waiting[3:])


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"consent": False}, ProtocolError, "consent is missing"),
        ({"portrait": b"GIF89a"}, InvalidPortraitError, "not a JPEG"),
        ({"portrait": bytes((8 << 20) + 1)}, InvalidPortraitError, "more than 8 MiB"),
        ({"idempotency_key": "k" * 65}, InvalidInputError, "65 characters"),
        ({"config": pb.SessionConfig(neutral=9)}, InvalidConfigError, "neutral is 9"),
    ],
)
async def test_a_wrong_request_for_a_session_is_named_and_takes_no_slot(
    engine: Engine, fields: dict[str, object], error: type[AvatarError], match: str
) -> None:
    async with web_serving(engine) as (_, client):
        with pytest.raises(error, match=match):
            await client.create(**fields)
        assert engine.free_slots == 1


async def test_errors_over_http_have_the_status_code_and_details_of_the_connect_protocol(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        answer = await client.post("CreateSession", pb.CreateSessionRequest(consent=True).SerializeToString())
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
        error = restored(answer)
        assert (error.reason, error.field) == ("INVALID_PORTRAIT", "portrait")
        await client.create()
        request = pb.CreateSessionRequest(consent=True, portrait=photo())
        answer = await client.post("CreateSession", request.SerializeToString())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert restored(answer).retry_after_s == 2.0


async def test_a_request_that_is_none_is_named(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        garbage = await client.post("GetServerInfo", b"\xff\xff")
        assert (garbage.status_code, garbage.json()["code"]) == (400, "invalid_argument")
        assert "no GetServerInfoRequest" in garbage.json()["message"]
        huge = await client.post("CreateSession", bytes((9 << 20) + 1))
        assert huge.status_code == 400
        assert "at most 9437184" in huge.json()["message"]
        json = await client.http.post("/avatar.v1.AvatarService/GetServerInfo", json={})
        assert (json.status_code, json.headers["accept-post"]) == (415, "application/proto")
        packed = await client.post("GetServerInfo", b"", **{"Content-Encoding": "gzip"})
        assert packed.status_code == 415
        unknown = await client.post("Reboot", b"")
        assert unknown.status_code == 404
        assert "'Reboot'" in unknown.json()["message"]
        assert (await client.http.get("/avatar.v1.AvatarService/GetServerInfo", headers=PROTO)).status_code == 405


async def test_a_call_ends_with_the_time_that_its_client_gives_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_serving(engine) as (server, client):
        monkeypatch.setattr(server.sessions, "create", lambda *_: asyncio.sleep(60))
        body = pb.CreateSessionRequest(portrait=photo(), consent=True).SerializeToString()
        answer = await client.post("CreateSession", body, **{"Connect-Timeout-Ms": "50"})
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
        assert "CreateSession took longer than the 0.05 s" in answer.json()["message"]


async def test_a_body_that_never_comes_is_given_up_and_many_at_once_are_asked_to_come_back(engine: Engine) -> None:
    limits = WebLimits(body_timeout_s=0.3, uploads=1)
    async with web_serving(engine, web_limits=limits) as (_, client):

        async def slow() -> AsyncIterator[bytes]:
            yield b"\x12"
            await asyncio.sleep(0.6)

        async def post() -> AvatarError:
            answer = await client.http.post("/avatar.v1.AvatarService/GetServerInfo", content=slow(), headers=PROTO)
            return restored(answer)

        waiting = asyncio.create_task(post())
        await asyncio.sleep(0.1)
        with pytest.raises(NoCapacityError):
            await client.call("GetServerInfo")
        assert isinstance(await waiting, TimeoutExceededError)
        await client.call("GetServerInfo")


async def test_a_socket_on_another_path_is_refused(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        client.url += "v2/"
        with pytest.raises(InvalidStatus):
            await client.socket()
