"""Readers of a session's frames beside its stream."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import SessionNotFoundError
from service import POSES, SIZE_PX, pose_message, serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.motion import MotionSource
from avatar_sdk.pacing import FrameClockConfig
from avatar_sdk.session import CloseReason, SessionCore, SessionLimits, WatchedFrame, Watcher


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


def frame(seq: int) -> WatchedFrame:
    return WatchedFrame(seq, 0, np.zeros((2, 2, 3), np.uint8), MotionSource.POSE, 0, 0, 0, 0)


async def test_a_watcher_gives_the_newest_frame_once_and_counts_what_it_was_too_slow_for() -> None:
    closed: list[Watcher] = []
    watcher = Watcher(closed.append)
    for seq in (1, 2, 3):
        watcher.put(frame(seq))
    assert (await anext(watcher)).seq == 3
    assert watcher.dropped == 2
    waiting = asyncio.create_task(anext(watcher))
    await asyncio.sleep(0)
    assert not waiting.done()
    watcher.put(frame(4))
    assert (await waiting).seq == 4
    watcher.put(frame(5))
    watcher.close()
    watcher.close()
    assert [one async for one in watcher] == []
    assert closed == [watcher]


async def test_watchers_see_the_pixels_that_the_stream_gets_with_the_badge(engine: Engine) -> None:
    async with serving(engine) as (server, client):
        stream = await client.open(await client.create(), encoding=pb.ENCODING_RGB)
        live = server.sessions.all[0].live
        with live.watch() as first, live.watch() as second:
            await stream.send(pose=pose_message(1))
            seen = await anext(first)
            same = await anext(second)
            sent = await stream.until("frame", lambda frame: frame.seq == seen.seq)
        assert same.image is seen.image
        assert (seen.pose_seq, seen.pose_timestamp_us, seen.source) == (1, 40_000, MotionSource.POSE)
        assert seen.finished_us > seen.pose_received_us > 0
        assert np.array_equal(seen.image, np.frombuffer(sent.data, np.uint8).reshape(SIZE_PX, SIZE_PX, 3))
        assert seen.image[-20:, -20:].max() > 200


async def test_a_watcher_outlives_streams_and_ends_with_the_session(engine: Engine) -> None:
    async with serving(engine) as (server, client):
        created = await client.create()
        entry = server.sessions.all[0]
        watcher = entry.live.watch()
        seqs = []
        for _ in range(2):
            stream = await client.open(created)
            stream.seq = 100 * len(seqs)
            driver = asyncio.create_task(stream.send_poses(100))
            seqs.append((await anext(watcher)).seq)
            driver.cancel()
            await asyncio.wait([driver])
            stream.call.cancel()
        assert seqs == sorted(set(seqs))
        await server.sessions.end(entry, CloseReason.CLIENT)
        assert [one async for one in watcher] == []
        with pytest.raises(SessionNotFoundError):
            entry.live.watch()


async def test_a_watcher_is_served_though_the_stream_acknowledges_nothing(engine: Engine) -> None:
    async with serving(engine, limits=SessionLimits(reader_stall_s=0.1)) as (server, client):
        stream = await client.open(await client.create())
        stream.acknowledging = False
        driver = asyncio.create_task(stream.send_poses(10_000, interval_s=0.03))
        live = server.sessions.all[0].live
        while live.core.due_us() is not None or stream.seq < 5:
            await asyncio.sleep(0.01)
        assert live.core.frames_dropped > 0
        with live.watch() as watcher:
            frames = [await anext(watcher) for _ in range(20)]
        assert frames[-1].pose_seq > frames[0].pose_seq
        driver.cancel()
        await asyncio.wait([driver])


def test_a_stream_without_acknowledgements_idles_only_while_nobody_watches() -> None:
    core = SessionCore(SessionLimits(idle_timeout_s=5.0), FrameClockConfig(), 0)
    core.attach(0, max_in_flight=1)
    core.sent(1, 0)
    core.receive_pose(1, POSES[1], 6_000_000)
    core.watched(True, 6_000_000)
    assert core.expired(6_000_000) is None
    core.watched(False, 6_000_000)
    assert core.expired(6_000_000) is CloseReason.IDLE
