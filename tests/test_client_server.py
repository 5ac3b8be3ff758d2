"""The Python client and the real service over a real socket."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import avatar_client
import numpy as np
import pytest
from avatar_client import (
    AvatarClient,
    AvatarSession,
    CloseReason,
    EventKind,
    Frame,
    MotionSource,
    Pose,
    PoseReader,
    ReconnectConfig,
    SessionEvent,
    SessionOptions,
    TlsConfig,
)
from avatar_client.clock import monotonic_us
from avatar_client.errors import (
    AuthenticationError,
    ConnectionLostError,
    InvalidInputError,
    InvalidPortraitError,
    NoCapacityError,
)
from PIL import Image

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server, ServerConfig
from avatar_sdk.session import SessionLimits

SIZE_PX = 128
LIMITS = SessionLimits(reader_stall_s=0.2)
QUICK = ReconnectConfig(base_s=0.05, max_delay_s=0.2, give_up_after_s=60)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


@pytest.fixture(scope="module")
def photo(sample_portrait: Path) -> bytes:
    out = io.BytesIO()
    Image.open(sample_portrait).convert("RGB").resize((256, 256)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def poses(sample_poses: Path) -> list[Pose]:
    return PoseReader(sample_poses)[:240]


@asynccontextmanager
async def driven(session: AvatarSession, poses: list[Pose]) -> AsyncIterator[None]:
    """Sends a driver's poses with live times meanwhile."""

    async def send() -> None:
        while True:
            for pose in poses:
                session.send_pose(replace(pose, timestamp_us=monotonic_us()))
                await asyncio.sleep(1 / 48)

    sender = asyncio.ensure_future(send())
    try:
        yield
    finally:
        sender.cancel()
        await asyncio.wait((sender,))


async def take(session: AvatarSession, count: int) -> list[Frame]:
    frames: list[Frame] = []
    async for frame in session:
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


@pytest.mark.parametrize("encoding", ["jpeg", "h264", "rgb"])
async def test_a_portrait_moves_with_the_driver(engine: Engine, photo: bytes, poses: list[Pose], encoding: str) -> None:
    options = SessionOptions(encoding=encoding, badge=False)  # type: ignore[arg-type]
    async with (
        Server(ServerConfig(port=0, size_px=SIZE_PX), engine) as server,
        AvatarClient(server.address) as client,
        client.session(photo, consent=True, options=options) as session,
        driven(session, poses),
    ):
        assert (await client.info()).free_sessions == 0
        assert session.portrait.faces == 1
        assert session.portrait.affine.shape == (2, 3)
        frames = await take(session, 12)
        pictures = [frame.image for frame in frames]
        statistics = session.statistics
    assert {picture.shape for picture in pictures} == {(SIZE_PX, SIZE_PX, 3)}
    assert np.ptp(pictures[-1]) > 100
    assert any((picture != pictures[0]).any() for picture in pictures[1:])
    assert all(frame.generated for frame in frames)
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
    assert statistics.pose_to_frame is not None
    assert statistics.camera_to_display is not None
    assert statistics.camera_to_display.p50_ms > statistics.pose_to_frame.p50_ms
    assert engine.free_slots == 1


async def test_pictures_of_the_driver_drive_where_the_server_finds_the_poses(engine: Engine, photo: bytes) -> None:
    image = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))
    async with (
        Server(ServerConfig(port=0, size_px=SIZE_PX), engine) as server,
        AvatarClient(server.address) as client,
        client.session(photo, consent=True) as session,
    ):
        with pytest.raises(InvalidInputError, match="uint8"):
            session.send_camera(image[:, :, 0], 1)
        frame = None
        while frame is None or frame.source is not MotionSource.POSE:
            taken_us = monotonic_us()
            session.send_camera(image, taken_us)
            await asyncio.sleep(0.04)
            frame = session.latest()
    assert 0 < frame.pose_timestamp_us <= taken_us


async def test_a_program_that_stopped_reading_is_fresh_again_by_its_third_frame(
    engine: Engine, photo: bytes, poses: list[Pose]
) -> None:
    async with (
        Server(ServerConfig(port=0, size_px=SIZE_PX, limits=LIMITS), engine) as server,
        AvatarClient(server.address) as client,
        client.session(photo, consent=True) as session,
        driven(session, poses),
    ):
        await take(session, 5)
        async for event in session.events():
            if event.kind is EventKind.READER_STALLED:
                break
        back_us = monotonic_us()
        third = (await take(session, 3))[-1]
    assert third.pose_timestamp_us >= back_us


async def test_every_slot_taken_is_told_with_a_time_to_come_back(engine: Engine, photo: bytes) -> None:
    async with (
        Server(ServerConfig(port=0, size_px=SIZE_PX), engine) as server,
        AvatarClient(server.address) as client,
        client.session(photo, consent=True),
    ):
        with pytest.raises(NoCapacityError) as caught:
            async with client.session(photo, consent=True):
                pass
    assert caught.value.retry_after_s is not None


async def test_a_photo_without_a_face_is_refused_and_a_running_session_keeps_its_own(
    engine: Engine, photo: bytes, poses: list[Pose]
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (256, 256), "grey").save(out, "PNG")
    async with (
        Server(ServerConfig(port=0, size_px=SIZE_PX), engine) as server,
        AvatarClient(server.address) as client,
    ):
        with pytest.raises(InvalidPortraitError) as caught:
            async with client.session(out.getvalue(), consent=True):
                pass
        assert caught.value.field == "portrait"
        async with client.session(photo, consent=True) as session, driven(session, poses):
            with pytest.raises(InvalidPortraitError):
                await session.swap_portrait(out.getvalue(), consent=True)
            assert (await session.swap_portrait(photo, consent=True)).faces == 1
            assert len(await take(session, 3)) == 3


async def test_a_wrong_token_is_refused(engine: Engine, photo: bytes) -> None:
    async with Server(ServerConfig(port=0, token="right"), engine) as server:
        async with AvatarClient(server.address, token="wrong") as client:
            with pytest.raises(AuthenticationError):
                async with client.session(photo, consent=True):
                    pass
        async with AvatarClient(server.address, token="right") as client:
            assert (await client.info()).model == "warp"


async def test_an_encrypted_connection_trusts_the_given_authority_only(engine: Engine, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program to make a certificate")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    async with Server(ServerConfig(port=0, certificate=certificate, key=key), engine) as server:
        target = f"localhost:{server.address.rpartition(':')[2]}"
        async with AvatarClient(target, tls=TlsConfig(root_certificates=certificate)) as client:
            assert (await client.info()).model == "warp"
        async with AvatarClient(target, tls=TlsConfig()) as client:
            with pytest.raises(ConnectionLostError):
                await client.info()


async def test_the_blocking_client_drives_the_same_service(engine: Engine, photo: bytes, poses: list[Pose]) -> None:
    def program(target: str) -> list[Frame]:
        with avatar_client.connect(target) as client, client.session(photo, consent=True) as session:
            frames = []
            for pose in poses[:5]:
                session.send_pose(replace(pose, timestamp_us=monotonic_us()))
                frame = session.next_frame(timeout_s=30)
                assert frame is not None
                frames.append(frame)
            return frames

    async with Server(ServerConfig(port=0, size_px=SIZE_PX), engine) as server:
        frames = await asyncio.to_thread(program, server.address)
    assert frames[-1].image.shape == (SIZE_PX, SIZE_PX, 3)


async def test_a_server_that_shuts_down_in_order_is_left_for_its_successor(
    engine: Engine, photo: bytes, poses: list[Pose]
) -> None:
    events: list[SessionEvent] = []
    config = ServerConfig(port=0, size_px=SIZE_PX, drain_grace_s=0.2)
    async with Server(config, engine) as first:
        client = AvatarClient(first.address, reconnect=QUICK)
        session = client.session(photo, consent=True, on_event=events.append)
        await session.__aenter__()
        async with driven(session, poses):
            await take(session, 2)
    port = int(first.address.rpartition(":")[2])
    async with Server(replace(config, port=port), engine), client, session_closed(session), driven(session, poses):
        assert len(await take(session, 3)) == 3
    kinds = [event.kind for event in events]
    assert kinds.index(EventKind.GO_AWAY) < kinds.index(EventKind.RECONNECTING) < kinds.index(EventKind.RESTARTED)


@asynccontextmanager
async def session_closed(session: AvatarSession) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await session.close()


SERVE = f"""
import asyncio, sys
from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import ServerConfig, serve
config = ServerConfig(port=int(sys.argv[1]), size_px={SIZE_PX})
asyncio.run(serve(config, Engine.load(EngineConfig(model="warp")), lambda server: print(server.address, flush=True)))
"""


@contextmanager
def service_process(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = next(line.strip() for line in process.stdout if line.startswith("127.0.0.1:"))
        yield process, address
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_a_killed_server_is_a_typed_error_and_the_session_goes_on_when_it_is_back(
    photo: bytes, poses: list[Pose]
) -> None:
    events: list[SessionEvent] = []
    with service_process() as (process, address):
        client = AvatarClient(address, reconnect=QUICK)
        session = client.session(photo, consent=True, on_event=events.append)
        await session.__aenter__()
        async with driven(session, poses):
            await take(session, 3)
            before = session.info.id
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            async for event in session.events():
                if event.kind is EventKind.RECONNECTING:
                    break
    assert isinstance(event.error, ConnectionLostError)
    assert address in event.message
    with service_process(int(address.rpartition(":")[2])):
        async with client, session_closed(session), driven(session, poses):
            frames = await take(session, 3)
            assert session.info.id != before
            assert frames[-1].image.shape == (SIZE_PX, SIZE_PX, 3)
            assert session.statistics.reconnects == 1
    assert [event.kind for event in events].count(EventKind.RESTARTED) == 1
    assert session.close_reason is CloseReason.CLIENT
