"""The service over HTTP and WebSocket: the same calls and conversations as over gRPC."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np
import pytest
import simplejpeg
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import (
    ProtocolError,
)
from service import SIZE_PX, photo, pose_message
from web_service import WebStream, web_serving

from avatar_sdk.engine import Engine, EngineConfig


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=2))


async def test_the_server_says_what_it_is(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        await client.create()
        info = await client.call("GetServerInfo")
    assert (info.model, info.width_px, info.max_sessions, info.free_sessions) == ("warp", SIZE_PX, 2, 1)


async def test_poses_become_frames_that_say_where_they_come_from(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create(), user_agent="test")
        assert stream.socket.subprotocol == "avatar.v1"
        assert stream.ready.config.user_agent == "test"
        driver = asyncio.create_task(stream.send_poses(25, interval_s=0.04))
        frames = [await stream.until("frame") for _ in range(15)]
        await driver
    fresh = [frame for frame in frames if frame.source == pb.MOTION_SOURCE_POSE]
    assert len(fresh) >= 10
    assert all(frame.pose_timestamp_us == 40_000 * frame.pose_seq for frame in fresh)
    assert all(frame.generated and frame.timings.pose_to_frame_us > 0 for frame in fresh)


async def test_a_camera_picture_becomes_a_pose_of_the_same_number_and_time(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create())
        sending = asyncio.create_task(send_pictures(stream, jpeg_photo()))
        frame = await stream.until("frame", lambda frame: frame.pose_seq > 0)
        assert frame.pose_timestamp_us == 40_000 * frame.pose_seq
        sending.cancel()
        await asyncio.wait([sending])


def jpeg_photo() -> bytes:
    pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(photo(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90)


async def send_pictures(stream: WebStream, image: bytes) -> None:
    while True:
        stream.seq += 1
        await stream.send(camera=pb.CameraFrame(seq=stream.seq, timestamp_us=40_000 * stream.seq, image=image))
        await asyncio.sleep(0.04)


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (b"GIF89a", "6 bytes and is no JPEG"),
        (jpeg_photo()[:2000], "cannot be decoded"),
        (simplejpeg.encode_jpeg(np.zeros((16, 1288, 3), np.uint8), 50), "1288×16 pixels; at most 1280"),
    ],
)
async def test_a_wrong_camera_picture_is_named_and_left_out_and_the_stream_goes_on(
    engine: Engine, image: bytes, named: str
) -> None:
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send(camera=pb.CameraFrame(seq=1, timestamp_us=1, image=image))
        assert named in (await stream.event(pb.EVENT_KIND_POSE_REJECTED)).message
        await still_lives(stream)


async def test_a_server_that_does_not_track_says_so(engine: Engine) -> None:
    async with web_serving(engine, server_tracking=False) as (_, client):
        stream = await client.open(await client.create())
        await stream.send(camera=pb.CameraFrame(seq=1, timestamp_us=1, image=jpeg_photo()))
        with pytest.raises(ProtocolError, match="--server-tracking"):
            await stream.until("nothing more")
        assert await stream.closed() == 4009


async def still_lives(stream: WebStream) -> None:
    """The stream goes on: a good pose gets its frame."""
    stream.seq += 100
    await stream.send(pose=pose_message(stream.seq))
    await stream.until("frame", lambda frame: frame.pose_seq == stream.seq)
