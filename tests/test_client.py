"""The client over a real socket, against a peer that misbehaves on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import avatar_client
import numpy as np
import pytest
from avatar_client import (
    AvatarClient,
    AvatarSession,
    CloseReason,
    EventKind,
    Gains,
    Pose,
    ReconnectConfig,
    SessionEvent,
    SessionOptions,
    SessionState,
    runner,
)
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import (
    ConnectionLostError,
    InvalidPortraitError,
    NoCapacityError,
    ProtocolError,
    SessionStateLostError,
    TimeoutExceededError,
)
from scripted_peer import Peer, abort, closed, cut, go_away, serving

QUICK = ReconnectConfig(base_s=0.01, max_delay_s=0.05, give_up_after_s=30)


@asynccontextmanager
async def session_on(
    port: int, events: list[SessionEvent] | None = None, reconnect: ReconnectConfig = QUICK, **options: Any
) -> AsyncIterator[AvatarSession]:
    seen = events if events is not None else []
    async with (
        AvatarClient(f"127.0.0.1:{port}", reconnect=reconnect) as client,
        client.session(b"photo", consent=True, options=SessionOptions(**options), on_event=seen.append) as session,
    ):
        yield session


async def drive(session: AvatarSession, frames: int) -> list[int]:
    """Sends poses until so many frames came; their numbers."""
    numbers: list[int] = []
    timestamp_us = 0

    async def send() -> None:
        nonlocal timestamp_us
        while True:
            timestamp_us += 1
            session.send_pose(Pose(timestamp_us))
            await asyncio.sleep(0.005)

    sender = asyncio.ensure_future(send())
    try:
        async for frame in session:
            numbers.append(frame.seq)
            if len(numbers) == frames:
                break
    finally:
        sender.cancel()
    return numbers


def kinds(events: list[SessionEvent]) -> list[EventKind]:
    return [event.kind for event in events]


async def test_poses_go_out_and_frames_come_back() -> None:
    peer = Peer()
    events: list[SessionEvent] = []
    async with serving(peer) as port, session_on(port, events, encoding="rgb") as session:
        assert session.state is SessionState.READY
        assert (session.info.id, session.info.width_px, session.info.fps) == ("peer-1", 2, 24)
        np.testing.assert_array_equal(session.portrait.affine, [[1, 0, 5], [0, 1, 7]])
        assert session.send_pose(Pose(123))
        frame = await session.next_frame()
        assert frame is not None
        assert (frame.pose_seq, frame.pose_timestamp_us, frame.generated) == (1, 123, True)
        assert frame.image.shape == (1, 2, 3)
    assert (session.state, session.close_reason) == (SessionState.CLOSED, CloseReason.CLIENT)
    assert peer.deleted == ["peer-1"]
    assert (events[-1].kind, events[-1].message) == (EventKind.CLOSED, "client")
    assert [event async for event in session.events()] == events
    assert await session.next_frame() is None
    assert not session.send_pose(Pose(124))


async def test_every_taken_frame_is_acknowledged() -> None:
    peer = Peer()
    async with serving(peer) as port, session_on(port) as session:
        numbers = await drive(session, 3)
    acknowledged = [request.ack.frame_seq for request in peer.said if request.HasField("ack")]
    assert acknowledged == numbers[: len(acknowledged)]
    assert acknowledged


async def test_a_server_that_answers_nothing_is_a_lost_connection_with_its_address() -> None:
    async with serving(Peer()) as port:
        pass
    async with AvatarClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(ConnectionLostError, match=rf"127\.0\.0\.1:{port} .*avatar serve") as caught:
            await client.info()
        assert caught.value.retryable
        with pytest.raises(ConnectionLostError):
            async with client.session(b"photo", consent=True):
                pass


async def test_the_token_travels_with_every_call() -> None:
    peer = Peer()
    async with serving(peer) as port, AvatarClient(f"127.0.0.1:{port}", token="hush") as client:
        info = await client.info()
    assert (info.version, info.fps, info.encodings) == ("1.2.3", 24, ("jpeg",))
    assert peer.tokens == ["Bearer hush"]


async def test_a_refusal_is_raised_as_what_the_server_meant() -> None:
    refusal = NoCapacityError("all 4 slots are taken", retry_after_s=2.5)
    async with serving(Peer(refuse=refusal)) as port, AvatarClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(NoCapacityError, match="all 4 slots are taken") as caught:
            async with client.session(b"photo", consent=True):
                pass
    assert caught.value.retry_after_s == 2.5


async def test_a_broken_stream_is_taken_up_again_and_iteration_goes_on() -> None:
    peer = Peer(script={3: cut})
    events: list[SessionEvent] = []
    async with serving(peer) as port, session_on(port, events) as session:
        await drive(session, 6)
        assert session.statistics.reconnects == 1
    assert peer.portraits == [b"photo"]
    assert EventKind.RESUMED in kinds(events)
    broken = next(event for event in events if event.kind is EventKind.RECONNECTING)
    assert isinstance(broken.error, ConnectionLostError)
    assert "pulled the plug" in broken.message
    sequence = [request.pose.seq for request in peer.said if request.HasField("pose")]
    assert sequence == sorted(set(sequence))


async def test_a_restarted_server_gets_the_portrait_and_the_changes_again() -> None:
    events: list[SessionEvent] = []
    first, second = Peer("first"), Peer("second")
    async with serving(first) as port:
        client = AvatarClient(f"127.0.0.1:{port}", reconnect=QUICK)
        session = client.session(b"photo", consent=True, on_event=events.append)
        await session.__aenter__()
        session.set_gains(Gains(mouth=1.5))
        await drive(session, 2)
    async with serving(second, port):
        await drive(session, 2)
        assert session.info.id == "second-1"
        await session.close()
        await client.close()
    assert second.portraits == [b"photo"]
    assert second.changes() == [pb.Control(gains=pb.Gains(mouth=1.5))]
    assert EventKind.RESTARTED in kinds(events)
    assert second.deleted == ["second-1"]


async def test_without_reconnecting_the_break_is_raised() -> None:
    async with serving(Peer(script={2: cut})) as port:
        async with session_on(port, reconnect=ReconnectConfig(enabled=False)) as session:
            with pytest.raises(ConnectionLostError, match="pulled the plug"):
                await drive(session, 9)
        assert session.close_reason is CloseReason.FAILED


async def test_a_broken_session_never_looks_alive_to_a_program_that_only_polls() -> None:
    never = ReconnectConfig(enabled=False)
    async with serving(Peer(script={1: cut})) as port, session_on(port, reconnect=never) as session:
        session.send_pose(Pose(1))
        while session.state is not SessionState.CLOSED:
            await asyncio.sleep(0.005)
        with pytest.raises(ConnectionLostError, match="pulled the plug"):
            session.latest()
        with pytest.raises(ConnectionLostError, match="pulled the plug"):
            session.send_pose(Pose(2))


async def test_a_closed_client_or_session_is_not_used_again() -> None:
    async with serving(Peer()) as port:
        client = AvatarClient(f"127.0.0.1:{port}")
        session = client.session(b"photo", consent=True)
        async with client, session:
            pass
        with pytest.raises(ProtocolError, match="this client is closed"):
            await client.info()
        with pytest.raises(ProtocolError, match="this session was opened before"):
            await session.__aenter__()
    with pytest.raises(ProtocolError, match="use it in a `with` block"):
        avatar_client.connect(f"127.0.0.1:{port}").info()


async def test_a_server_that_stays_away_is_given_up_with_a_typed_error() -> None:
    patience = ReconnectConfig(base_s=0.01, max_delay_s=0.02, give_up_after_s=0.1)
    async with serving(Peer(script={2: cut})) as port:
        client = AvatarClient(f"127.0.0.1:{port}", reconnect=patience)
        session = client.session(b"photo", consent=True)
        await session.__aenter__()
    with pytest.raises(ConnectionLostError):
        await drive(session, 9)
    assert session.state is SessionState.CLOSED
    await session.close()
    await client.close()


async def test_a_failed_step_is_not_tried_again() -> None:
    peer = Peer(script={2: lambda context: abort(context, SessionStateLostError("step 7 failed"))})
    async with serving(peer) as port, session_on(port) as session:
        with pytest.raises(SessionStateLostError, match="step 7 failed"):
            await drive(session, 9)
    assert len(peer.portraits) == 1


async def test_a_server_that_leaves_for_another_is_followed() -> None:
    events: list[SessionEvent] = []
    heir = Peer("heir")
    async with serving(heir) as heir_port:
        leave = go_away(pb.GO_AWAY_ACTION_RECONNECT, f"127.0.0.1:{heir_port}")
        old = Peer("old", script={2: lambda _: [leave]})
        async with serving(old) as port, session_on(port, events) as session:
            await drive(session, 5)
            assert session.info.id == "heir-1"
    assert heir.portraits == [b"photo"]
    assert EventKind.GO_AWAY in kinds(events)
    assert EventKind.RESTARTED in kinds(events)


async def test_a_server_that_says_stop_ends_the_iteration() -> None:
    leave = go_away(pb.GO_AWAY_ACTION_CLOSE)
    peer = Peer(script={2: lambda _: [leave], 3: cut})
    async with serving(peer) as port, session_on(port) as session:
        assert len(await drive(session, 9)) <= 2
    assert session.close_reason is CloseReason.DRAIN


async def test_a_session_closed_for_idleness_ends_the_iteration_with_its_reason() -> None:
    async with serving(Peer(script={2: closed(pb.CLOSE_REASON_IDLE)})) as port, session_on(port) as session:
        assert await drive(session, 9) == [1]
    assert session.close_reason is CloseReason.IDLE


async def test_a_server_that_falls_silent_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PING_S", 0.02)
    monkeypatch.setattr(runner, "_PATIENCE_PINGS", 3)
    async with (
        serving(Peer(silent=True)) as port,
        session_on(port, reconnect=ReconnectConfig(enabled=False)) as session,
    ):
        with pytest.raises(ConnectionLostError, match="has answered none of 3 pings"):
            await session.next_frame()


async def test_a_swapped_portrait_stays_after_a_restart() -> None:
    first, second = Peer("first"), Peer("second")
    async with serving(first) as port:
        client = AvatarClient(f"127.0.0.1:{port}", reconnect=QUICK)
        session = client.session(b"photo", consent=True)
        await session.__aenter__()
        with pytest.raises(InvalidPortraitError, match="the photo shows no face"):
            await session.swap_portrait(b"no face", consent=True)
        assert (await session.swap_portrait(b"another", consent=True)).faces == 3
        np.testing.assert_array_equal(session.portrait.affine, [[2, 0, 0], [0, 2, 0]])
    async with serving(second, port):
        await drive(session, 1)
        await session.close()
        await client.close()
    assert second.portraits == [b"another"]


async def test_a_session_whose_answer_got_lost_does_not_take_a_second_slot() -> None:
    second = Peer("second", lose_answers=1)
    async with serving(Peer()) as port:
        client = AvatarClient(f"127.0.0.1:{port}", reconnect=QUICK)
        session = client.session(b"photo", consent=True)
        await session.__aenter__()
    async with serving(second, port):
        await drive(session, 1)
        assert session.info.id == "second-1"
        await session.close()
        await client.close()
    assert second.portraits == [b"photo"]


async def test_changes_reach_the_server_while_streaming() -> None:
    peer = Peer()
    async with serving(peer) as port, session_on(port) as session:
        session.calibrate()
        session.set_paused(True)
        session.set_neutral("absolute")
        session.set_badge(False)
        session.set_smoothing(False)
        await drive(session, 1)
    merged = pb.Control()
    for change in peer.changes():
        merged.MergeFrom(change)
    expected = pb.Control(calibrate=True, paused=True, neutral=pb.NEUTRAL_MODE_ABSOLUTE, badge=False, smoothing=False)
    assert merged == expected


async def test_the_blocking_client_does_the_same_without_asyncio() -> None:
    peer = Peer(script={4: cut})

    def program(port: int) -> tuple[list[int], int]:
        with avatar_client.connect(f"127.0.0.1:{port}", reconnect=QUICK) as client:
            assert client.info().model == "peer"
            with client.session(b"photo", consent=True) as session:
                numbers = []
                session.send_pose(Pose(1))
                for frame in session:
                    numbers.append(frame.seq)
                    if len(numbers) == 3:
                        break
                    session.send_pose(Pose(len(numbers) + 1))
                assert session.latest() is None
                with pytest.raises(TimeoutExceededError, match=r"no frame came within 0\.01 s"):
                    session.next_frame(timeout_s=0.01)
                shown = session.statistics.frames_shown
            with pytest.raises(InvalidPortraitError):
                client.session(b"", consent=True)
            return numbers, shown

    async with serving(peer) as port:
        numbers, shown = await asyncio.to_thread(program, port)
    assert numbers == [1, 2, 3]
    assert shown == 3
    assert peer.deleted == ["peer-1"]


async def test_errors_cross_from_the_loop_to_the_blocking_program() -> None:
    def program(port: int) -> None:
        with avatar_client.connect(f"127.0.0.1:{port}") as client, client.session(b"photo", consent=True):
            pass

    async with serving(Peer(refuse=NoCapacityError("full"))) as port:
        with pytest.raises(NoCapacityError, match="full"):
            await asyncio.to_thread(program, port)
