"""Whatever a client does wrong: it is told what, nothing else is lost, and the server lives."""

from __future__ import annotations

import asyncio
import math

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
from service import RawClient, RawStream, changed_face, eventually, photo, pose_message, serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.motion import MotionConfig
from avatar_sdk.server import Server, ServerConfig
from avatar_sdk.session import SessionLimits


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


async def still_lives(stream: RawStream) -> None:
    """The stream goes on: a good pose gets its frame."""
    stream.seq += 100
    await stream.send(pose=pose_message(stream.seq))
    await stream.until("frame", lambda frame: frame.pose_seq == stream.seq)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"face": b"\0" * 100}, "face has 100 bytes"),
        ({"face": changed_face(7, math.nan)}, "nan"),
        ({"face": changed_face(8, math.inf)}, "inf"),
        ({"face": changed_face(9, 1000.0)}, "1000.0"),
        ({"face_confidence": 7.0}, "face_confidence is 7.0"),
        ({"body": b"\0" * 8}, "body has 8 bytes"),
        ({"hands": b"\0" * 8}, "hands has 8 bytes"),
        ({"timestamp_us": 1}, "timestamp_us is 1 after 40000"),
        ({"seq": 1}, "seq is 1 after 1"),
    ],
)
async def test_a_wrong_pose_is_named_and_left_out_and_the_stream_goes_on(
    engine: Engine, changes: dict[str, object], named: str
) -> None:
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send(pose=pose_message(1))
        await stream.send(pose=pose_message(**{"seq": 2, **changes}))  # type: ignore[arg-type]
        event = await stream.event(pb.EVENT_KIND_POSE_REJECTED)
        assert named in event.message
        await still_lives(stream)


async def test_500_poses_a_second_make_no_more_frames_and_the_surplus_is_told_once_a_second(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        flood = asyncio.create_task(stream.send_poses(500, interval_s=0.002))
        event = await stream.event(pb.EVENT_KIND_POSE_REJECTED)
        assert "faster than 120 a second" in event.message
        seqs = []
        while not flood.done():
            seqs.append((await stream.until("frame")).pose_seq)
        assert len(seqs) < 100
        assert seqs == sorted(seqs)
        await asyncio.sleep(0.1)  # by then another pose is allowed
        await still_lives(stream)


async def test_a_client_that_sends_no_pose_is_let_go_with_the_reason(engine: Engine) -> None:
    async with serving(engine, limits=SessionLimits(idle_timeout_s=0.3)) as (_, client):
        stream = await client.open(await client.create())
        closed = await stream.until("status", lambda status: status.state == pb.SESSION_STATE_CLOSED)
        assert closed.reason == pb.CLOSE_REASON_IDLE
        assert await stream.read() is None
        await eventually(lambda: engine.free_slots == 1)


async def test_a_lost_face_makes_the_avatar_idle_and_is_told_as_is_its_return(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "avatar_sdk.server.convert.MotionConfig", lambda **given: MotionConfig(face_lost_ms=150, **given)
    )
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send_poses(2)
        absent = asyncio.create_task(send_absent(stream))
        await stream.event(pb.EVENT_KIND_FACE_LOST)
        await stream.until("frame", lambda frame: frame.source == pb.MOTION_SOURCE_IDLE)
        absent.cancel()
        await asyncio.wait([absent])
        back = asyncio.create_task(stream.send_poses(20))
        await stream.event(pb.EVENT_KIND_FACE_FOUND)
        await stream.until("frame", lambda frame: frame.source == pb.MOTION_SOURCE_POSE)
        await back


async def send_absent(stream: RawStream) -> None:
    while True:
        stream.seq += 1
        await stream.send(pose=pb.Pose(seq=stream.seq, timestamp_us=40_000 * stream.seq))
        await asyncio.sleep(0.02)


async def test_a_message_of_a_later_version_is_ignored_and_told(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.call.write(pb.StreamRequest.FromString(b"\xfa\x01\x00"))  # field 31, which this version lacks
        event = await stream.event(pb.EVENT_KIND_IGNORED_UNKNOWN)
        assert "unknown kind" in event.message
        await still_lives(stream)


async def test_a_control_out_of_range_is_ignored_and_told(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send(control=pb.Control(gains=pb.Gains(mouth=9)))
        assert "gain mouth is 9" in (await stream.event(pb.EVENT_KIND_IGNORED_UNKNOWN)).message
        await still_lives(stream)


async def ends_with(stream: RawStream, error: type[AvatarError], match: str) -> None:
    with pytest.raises(error, match=match):
        await stream.until("nothing more")


async def test_a_stream_that_does_not_begin_with_its_configuration_is_refused(engine: Engine) -> None:
    async with serving(engine, first_message_timeout_s=0.2) as (_, client):
        for first in ({"pose": pose_message(1)}, {"ping": pb.Ping()}):
            stream = RawStream(client.stub.Stream())
            await stream.send(**first)
            await ends_with(stream, ProtocolError, f"first message is {next(iter(first))}")
        silent = RawStream(client.stub.Stream())
        await ends_with(silent, TimeoutExceededError, "no StreamConfig")
        stopped = RawStream(client.stub.Stream())
        await stopped.call.done_writing()
        await ends_with(stopped, ProtocolError, "ended before its StreamConfig")


async def test_a_second_configuration_or_a_huge_message_ends_the_stream_but_not_the_session(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        created = await client.create()
        stream = await client.open(created)
        await stream.send(config=pb.StreamConfig())
        await ends_with(stream, ProtocolError, "second StreamConfig")
        stream = await client.open(created)
        await stream.send(pose=pb.Pose(seq=1, body=bytes(300_000)))
        await ends_with(stream, InvalidInputError, "at most 262144")
        await still_lives(await client.open(created))


@pytest.mark.parametrize(
    ("config", "error", "match"),
    [
        ({"session_id": "nobody"}, SessionNotFoundError, "'nobody' does not exist"),
        ({"resume_token": "guessed"}, AuthenticationError, "resume_token"),
        ({"encoding": 77}, InvalidConfigError, "encoding is 77"),
        ({"quality": 101}, InvalidConfigError, "quality is 101"),
    ],
)
async def test_a_wrong_configuration_is_refused_by_name(
    engine: Engine, config: dict[str, object], error: type[AvatarError], match: str
) -> None:
    async with serving(engine) as (_, client):
        created = await client.create()
        with pytest.raises(error, match=match):
            await client.open(created, **config)
        await still_lives(await client.open(created))


async def test_a_second_stream_is_refused_while_the_first_one_speaks(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        created = await client.create()
        stream = await client.open(created)
        with pytest.raises(SessionBusyError):
            await client.open(created)
        await still_lives(stream)


async def test_a_stream_that_fell_silent_gives_way_to_its_successor(engine: Engine) -> None:
    async with serving(engine, limits=SessionLimits(takeover_s=0.0)) as (_, client):
        created = await client.create()
        silent = await client.open(created)
        successor = await client.open(created)
        assert successor.ready.resumed  # type: ignore[attr-defined]
        await ends_with(silent, SessionBusyError, "took this session over")
        await still_lives(successor)


async def test_a_client_that_vanishes_keeps_its_slot_for_the_resume_window_only(engine: Engine) -> None:
    async with serving(engine, limits=SessionLimits(resume_window_s=0.5)) as (server, client):
        created = await client.create()
        stream = await client.open(created)
        await stream.send_poses(3)
        await stream.until("frame")
        stream.call.cancel()
        await eventually(lambda: server.sessions.all[0].live.core.state.value == "reconnecting")
        again = await client.open(created)
        assert again.ready.resumed  # type: ignore[attr-defined]
        await still_lives(again)
        again.call.cancel()
        await eventually(lambda: engine.free_slots == 1)
        with pytest.raises(SessionNotFoundError):
            await client.open(created)


async def test_a_client_that_stopped_reading_is_fresh_again_by_its_third_frame(engine: Engine) -> None:
    async with serving(engine, limits=SessionLimits(reader_stall_s=0.3)) as (server, client):
        stream = await client.open(await client.create())
        core = server.sessions.all[0].live.core
        driver = asyncio.create_task(stream.send_poses(10_000))
        await stream.until("frame")
        await eventually(lambda: core.due_us() is None)  # nothing was read or acknowledged for the stall time
        assert core.frames_dropped > 0
        before = stream.seq
        frames = [await stream.until("frame") for _ in range(3)]
        assert frames[-1].pose_seq >= before
        driver.cancel()
        await asyncio.wait([driver])


async def test_a_client_that_was_frozen_is_not_shown_what_it_did_before(engine: Engine) -> None:
    async with serving(engine, limits=SessionLimits(reader_stall_s=0.1)) as (server, client):
        stream = await client.open(await client.create())
        stream.acknowledging = False
        core = server.sessions.all[0].live.core
        while core.due_us() is not None or stream.seq < 5:
            await stream.send_poses(1)
        await asyncio.sleep(0.15)
        frozen_at = stream.seq
        await stream.send(ack=pb.Ack(frame_seq=2**60))
        stream.acknowledging = True
        await stream.send(pose=pose_message(frozen_at + 50))
        await stream.until("frame", lambda frame: frame.pose_seq > frozen_at)


async def test_a_failed_step_ends_its_session_with_a_typed_error_and_frees_the_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine.load(EngineConfig(model="warp", slots=1))
    async with serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await still_lives(stream)
        with monkeypatch.context() as broken:
            broken.setattr(engine.runtime, "predict", lambda *_: 1 / 0)
            await stream.send(pose=pose_message(1000))
            await ends_with(stream, SessionStateLostError, "ZeroDivisionError")
        await eventually(lambda: engine.free_slots == 1)
        await still_lives(await client.open(await client.create()))


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"consent": False}, ProtocolError, "consent is missing"),
        ({"portrait": b""}, InvalidPortraitError, "empty"),
        ({"portrait": b"GIF89a"}, InvalidPortraitError, "not a JPEG"),
        ({"portrait": bytes((8 << 20) + 1)}, InvalidPortraitError, "more than 8 MiB"),
        ({"idempotency_key": "k" * 65}, InvalidInputError, "65 characters"),
        ({"config": pb.SessionConfig(framing=99)}, InvalidConfigError, "framing is 99"),
        ({"config": pb.SessionConfig(framing_scale=20)}, InvalidConfigError, "framing is 20"),
        ({"config": pb.SessionConfig(gains=pb.Gains(head=3))}, InvalidConfigError, "gain head is 3"),
        ({"config": pb.SessionConfig(neutral=9)}, InvalidConfigError, "neutral is 9"),
    ],
)
async def test_a_wrong_request_for_a_session_is_named_and_takes_no_slot(
    engine: Engine, fields: dict[str, object], error: type[AvatarError], match: str
) -> None:
    async with serving(engine) as (_, client):
        with pytest.raises(error, match=match):
            await client.create(**fields)
        assert (await client.call("GetServerInfo")).free_sessions == 1
        await client.create()


async def test_a_full_server_says_when_to_come_back_even_while_it_still_prepares(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        first, second = await asyncio.gather(client.create(), client.create(), return_exceptions=True)
        refused = first if isinstance(first, NoCapacityError) else second
        assert isinstance(refused, NoCapacityError)
        assert refused.retry_after_s is not None


async def test_a_port_in_use_is_a_typed_error(engine: Engine) -> None:
    async with serving(engine) as (server, client):
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(InvalidConfigError, match=f"{port} cannot be bound"):
            async with Server(ServerConfig(port=port, warm_up=False), engine):
                pass
        await answers(client)


async def answers(client: RawClient) -> None:
    assert (await client.call("GetServerInfo")).model == "warp"


async def test_a_photo_in_an_update_is_checked_like_the_first_one(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        created = await client.create()
        keys = {"session_id": created.session_id, "resume_token": created.resume_token}
        with pytest.raises(ProtocolError, match="consent"):
            await client.call("UpdateSession", **keys, portrait=photo())
        with pytest.raises(InvalidPortraitError):
            await client.call("UpdateSession", **keys, portrait=b"no", consent=True)
        with pytest.raises(AuthenticationError):
            await client.call("DeleteSession", session_id=created.session_id, resume_token="guessed")
        await still_lives(await client.open(created))
