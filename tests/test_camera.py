"""Poses that the server finds in clients' camera pictures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import AvatarError, InvalidPoseError, MissingDependencyError, ProtocolError
from avatar_client.pose import Pose
from avatar_client.tracking import PoseTracker
from service import eventually, photo, pose_message, serving
from web_service import WebStream, web_serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import ServerConfig
from avatar_sdk.server.camera import CameraPicture, CameraTracking, decode_picture


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


def face_jpeg() -> bytes:
    pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(photo(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90)


async def send_pictures(stream: Any, image: bytes) -> None:
    while True:
        stream.seq += 1
        await stream.send(camera=pb.CameraFrame(seq=stream.seq, timestamp_us=40_000 * stream.seq, image=image))
        await asyncio.sleep(0.04)


@pytest.mark.parametrize("open_service", [serving, web_serving])
async def test_a_picture_becomes_a_pose_of_the_same_number_and_time(
    engine: Engine, open_service: Callable[[Engine], Any]
) -> None:
    async with open_service(engine) as (server, client):
        stream = await client.open(await client.create())
        sending = asyncio.create_task(send_pictures(stream, face_jpeg()))
        frame = await stream.until("frame", lambda frame: frame.source == pb.MOTION_SOURCE_POSE)
        assert frame.pose_timestamp_us == 40_000 * frame.pose_seq > 0
        assert server.sessions.all[0].live.core.state.value == "generating"
        sending.cancel()
        await asyncio.wait([sending])


async def test_the_pose_is_the_one_that_a_tracking_client_would_have_sent() -> None:
    found: dict[int, Pose] = {}
    camera = CameraTracking(found.__setitem__, lambda error: pytest.fail(str(error)))
    camera.put(CameraPicture(7, 40_000, face_jpeg()))
    await eventually(lambda: bool(found))
    camera.close()
    with PoseTracker() as tracker:
        expected = tracker.track(decode_picture(face_jpeg()), 40_000)
    assert found[7].timestamp_us == expected.timestamp_us
    assert np.array_equal(found[7].face, expected.face)


class SlowTracker:
    """Stands for MediaPipe where only the order matters; looks at a picture until it is let go."""

    def __init__(self) -> None:
        self.looking = threading.Event()
        self.go_on = threading.Event()
        self.closed = threading.Event()

    def track(self, _: Any, timestamp_us: int) -> Pose:
        self.looking.set()
        self.go_on.wait()
        return Pose.absent(timestamp_us)

    def close(self) -> None:
        self.closed.set()


async def test_only_the_newest_picture_waits_and_nothing_is_told_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = SlowTracker()
    monkeypatch.setattr("avatar_sdk.server.camera.PoseTracker", lambda: tracker)
    seen: list[int] = []
    camera = CameraTracking(lambda seq, _: seen.append(seq), lambda error: pytest.fail(str(error)))
    assert camera.put(CameraPicture(1, 1, face_jpeg()))
    await asyncio.to_thread(tracker.looking.wait)
    assert [camera.put(CameraPicture(seq, seq, face_jpeg())) for seq in (2, 3, 4)] == [True, False, False]
    tracker.go_on.set()
    await eventually(lambda: seen == [1, 4])
    tracker.looking.clear()
    tracker.go_on.clear()
    camera.put(CameraPicture(5, 5, face_jpeg()))
    await asyncio.to_thread(tracker.looking.wait)
    camera.close()
    camera.close()
    tracker.go_on.set()
    await asyncio.to_thread(tracker.closed.wait)
    await asyncio.sleep(0)
    assert seen == [1, 4]


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (b"", "0 bytes and is no JPEG"),
        (b"GIF89a", "6 bytes and is no JPEG"),
        (face_jpeg()[:2000], "cannot be decoded"),
        (simplejpeg.encode_jpeg(np.zeros((16, 1288, 3), np.uint8), 50), "1288×16 pixels; at most 1280"),
    ],
)
def test_what_is_no_usable_jpeg_is_named(image: bytes, named: str) -> None:
    with pytest.raises(InvalidPoseError, match=named):
        decode_picture(image)


async def test_a_wrong_picture_is_left_out_and_the_stream_goes_on(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        stream = await client.open(await client.create())
        await stream.send(camera=pb.CameraFrame(seq=1, timestamp_us=1, image=b"no"))
        assert "no JPEG" in (await stream.event(pb.EVENT_KIND_POSE_REJECTED)).message
        await stream.send(pose=pose_message(2))
        await stream.until("frame", lambda frame: frame.pose_seq == 2)


async def ends_with(stream: WebStream, error: type[AvatarError], match: str) -> None:
    await stream.send(camera=pb.CameraFrame(seq=1, timestamp_us=1, image=face_jpeg()))
    with pytest.raises(error, match=match):
        await stream.until("nothing more")
    assert await stream.closed() == 4009


async def test_a_server_that_does_not_track_or_cannot_says_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_serving(engine, server_tracking=False) as (_, client):
        created = await client.create()
        await ends_with(await client.open(created), ProtocolError, "--server-tracking")

    def missing() -> None:
        raise MissingDependencyError("tracking needs MediaPipe")

    monkeypatch.setattr("avatar_sdk.server.camera.PoseTracker", missing)
    async with web_serving(engine) as (_, client):
        await ends_with(await client.open(await client.create()), MissingDependencyError, "MediaPipe")


def test_only_a_server_for_this_machine_tracks_unasked() -> None:
    assert ServerConfig().tracks
    assert not ServerConfig(server_tracking=False).tracks
    assert not ServerConfig(host="0.0.0.0", insecure=True).tracks
    assert ServerConfig(host="0.0.0.0", insecure=True, server_tracking=True).tracks
