"""A session as a peer in a call, over the web port."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from avatar_client.errors import (
    AuthenticationError,
    AvatarError,
    InvalidInputError,
    NoCapacityError,
    ProtocolError,
    SessionBusyError,
    SessionNotFoundError,
)
from service import eventually
from web_service import WebClient, restored, web_serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server
from avatar_sdk.server.web import whep
from avatar_sdk.session import CloseReason, SessionLimits
from avatar_sdk.webrtc import WebRtcConfig

pytest.importorskip("aiortc", reason="needs the extra [webrtc]")

import aioice.ice
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from call_peers import ClipCamera, ClipMicrophone, clip, connected, connection, track_of, viewer

from avatar_sdk.webrtc.peers import Peers


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=2))


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> list[Peers]:
    """Those of the server in the test."""
    made: list[Peers] = []
    create = Peers.__init__

    def remembered(self: Peers, *settings: Any) -> None:
        create(self, *settings)
        made.append(self)

    monkeypatch.setattr(Peers, "__init__", remembered)
    return made


class Driven:
    """A session that poses drive, and its calls."""

    def __init__(self, server: Server, client: WebClient, created: Any) -> None:
        self.server, self.client, self.created = server, client, created

    @property
    def path(self) -> str:
        return f"/v1/sessions/{self.created.session_id}"

    async def post(self, way: str, body: str | bytes, **headers: str) -> httpx.Response:
        told = {"Content-Type": "application/sdp", "Authorization": f"Bearer {self.created.resume_token}", **headers}
        return await self.client.http.post(f"{self.path}/{way}", content=body, headers=told)

    async def call(self, way: str, peer: RTCPeerConnection) -> str:
        """Connects `peer`; returns its address. Raises what the server raised."""
        await peer.setLocalDescription(await peer.createOffer())
        answer = await self.post(way, peer.localDescription.sdp)
        if answer.status_code != 201:
            raise restored(answer)
        assert answer.headers["Content-Type"] == "application/sdp"
        await connected(peer, answer.text)
        return answer.headers["Location"]

    async def hang_up(self, place: str) -> httpx.Response:
        return await self.client.http.delete(place, headers={"Authorization": f"Bearer {self.created.resume_token}"})


@contextlib.asynccontextmanager
async def driven(engine: Engine, poses: int = 10_000, **config: Any) -> AsyncIterator[Driven]:
    """A session that the sample poses drive as long as the block lasts."""
    async with web_serving(engine, **config) as (server, client):
        client.http.timeout = httpx.Timeout(60)  # the first portrait loads MediaPipe
        created = await client.create()
        stream = await client.open(created)

        async def read() -> None:
            with contextlib.suppress(AvatarError, AssertionError):
                while await stream.read() is not None:
                    pass

        async def drive() -> None:
            with contextlib.suppress(Exception):
                await stream.send_poses(poses, 0.04)

        tasks = [asyncio.create_task(read()), asyncio.create_task(drive())]
        try:
            yield Driven(server, client, created)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_peer_sees_the_avatar_in_the_codec_that_the_server_prefers(engine: Engine, codec: str) -> None:
    async with driven(engine, webrtc=WebRtcConfig(codec=codec)) as session, viewer() as peer:
        await session.call("whep", peer)
        track = track_of(peer, "video")
        frames = [await track.recv() for _ in range(20)]
        assert peer.remoteDescription.sdp.lower().index(f"{codec}/90000") > 0
        first = next(line for line in peer.remoteDescription.sdp.lower().splitlines() if line.startswith("a=rtpmap"))
        assert codec in first
    assert frames[-1].to_ndarray(format="rgb24").std() > 20
    gaps = [later.pts - earlier.pts for earlier, later in itertools.pairwise(frames)]
    assert min(gaps) >= 3000, "never faster than aiortc's encoders count"


async def test_one_session_is_watched_by_several_peers_and_hanging_up_ends_one(
    engine: Engine, peers: list[Peers]
) -> None:
    async with driven(engine) as session, viewer() as one, viewer() as other:
        place = await session.call("whep", one)
        await session.call("whep", other)
        assert (await session.hang_up(place)).status_code == 200
        assert isinstance(restored(await session.hang_up(place)), SessionNotFoundError)
        await track_of(other, "video").recv()
        assert len(peers[0]) == 1


async def test_the_track_ends_with_the_session_and_everything_is_freed(engine: Engine, peers: list[Peers]) -> None:
    async with driven(engine) as session, viewer(sound=True) as peer:
        await session.call("whep", peer)
        track = track_of(peer, "video")
        await track.recv()
        entry = session.server.sessions.all[0]
        await session.server.sessions.end(entry, CloseReason.CLIENT)
        with contextlib.suppress(MediaStreamError):  # what was on its way
            while True:
                await track.recv()
        assert track.readyState == "ended"
        await eventually(lambda: len(peers[0]) == 0)
        assert peers[0].call(entry.session_id) is None


async def test_a_peer_that_vanishes_is_freed(
    engine: Engine, peers: list[Peers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.02)
    async with driven(engine) as session, viewer() as peer:
        await session.call("whep", peer)
        entry = session.server.sessions.all[0]
        transport = peer.getTransceivers()[0].receiver.transport.transport
        await transport._connection.close()  # a machine that is switched off says no goodbye
        await eventually(lambda: len(peers[0]) == 0)
        assert peers[0].call(entry.session_id) is None
        assert not entry.live._watchers


async def test_a_peer_that_never_connects_is_given_up(engine: Engine, peers: list[Peers]) -> None:
    async with driven(engine, webrtc=WebRtcConfig(connect_timeout_s=0.1)) as session, viewer() as peer:
        await peer.setLocalDescription(await peer.createOffer())
        assert (await session.post("whep", peer.localDescription.sdp)).status_code == 201
        await eventually(lambda: len(peers[0]) == 0)


async def test_too_many_peers_are_asked_to_come_back(engine: Engine) -> None:
    async with (
        driven(engine, webrtc=WebRtcConfig(max_peers_per_session=1)) as session,
        viewer() as one,
        viewer() as other,
    ):
        await session.call("whep", one)
        with pytest.raises(NoCapacityError, match="at most 1") as refused:
            await session.call("whep", other)
    assert refused.value.retry_after_s


async def sound_offer() -> str:
    async with viewer() as peer:
        peer.addTransceiver("audio", direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        return str(peer.localDescription.sdp)


async def test_a_camera_over_whip_drives_the_session_and_its_end_gives_the_session_back(
    engine: Engine, peers: list[Peers]
) -> None:
    clip()
    async with web_serving(engine) as (server, client):
        session = Driven(server, client, await client.create())
        camera, start_s = connection(), time.monotonic() + 0.2
        camera.addTrack(ClipCamera(start_s))
        camera.addTrack(ClipMicrophone(start_s))
        place = await session.call("whip", camera)
        async with viewer(sound=True) as peer:
            await session.call("whep", peer)
            assert (await track_of(peer, "video").recv()).width == 128
            assert (await track_of(peer, "audio").recv()).samples == 960
        second = camera_only()
        with pytest.raises(SessionBusyError, match="another peer"):
            await session.call("whip", second)
        await second.close()
        assert (await session.hang_up(place)).status_code == 200
        assert peers[0].call(session.created.session_id) is None
        await client.open(session.created)
        await camera.close()


async def test_a_peer_that_sends_is_freed_with_the_session_too(engine: Engine, peers: list[Peers]) -> None:
    async with driven(engine) as session:
        voice = connection()
        voice.addTrack(ClipMicrophone(time.monotonic()))
        await session.call("whip", voice)
        await session.server.sessions.end(session.server.sessions.all[0], CloseReason.CLIENT)
        await eventually(lambda: len(peers[0]) == 0)
        await voice.close()


def camera_only() -> RTCPeerConnection:
    peer = connection()
    peer.addTrack(ClipCamera(time.monotonic()))
    return peer


async def test_a_camera_cannot_take_over_a_session_that_a_stream_drives(engine: Engine, peers: list[Peers]) -> None:
    async with driven(engine) as session:
        camera = camera_only()
        with pytest.raises(SessionBusyError, match="already drives"):
            await session.call("whip", camera)
        assert len(peers[0]) == 0
        await camera.close()


async def test_a_microphone_alone_may_come_beside_a_stream(engine: Engine, peers: list[Peers]) -> None:
    async with driven(engine) as session, viewer(sound=True) as peer:
        voice = connection()
        voice.addTrack(ClipMicrophone(time.monotonic()))
        await session.call("whip", voice)
        await session.call("whep", peer)
        assert (await track_of(peer, "audio").recv()).sample_rate == 48_000
        await voice.close()
        await eventually(lambda: len(peers[0]) == 1)


async def test_where_poses_are_not_found_in_pictures_a_camera_is_refused(engine: Engine) -> None:
    async with driven(engine, server_tracking=False) as session:
        camera = camera_only()
        with pytest.raises(ProtocolError, match="--server-tracking"):
            await session.call("whip", camera)
        await camera.close()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "no media section"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"v=0\r\nm=video\r\n", "cannot be used"),
        (b"v=0\r\n" + b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 50, "video, video"),
        (b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n", "ICE"),
        (b"v=0\r\na=group:BUNDLE 7\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "bundles ['7']"),
        (b"x" * 70_000, "at most 65536"),
    ],
)
async def test_garbage_is_named_and_nothing_is_left_of_it(
    engine: Engine, peers: list[Peers], body: bytes, named: str
) -> None:
    async with web_serving(engine) as (server, client):
        session = Driven(server, client, await client.create())
        for way in ("whep", "whip"):
            error = restored(await session.post(way, body))
            assert isinstance(error, InvalidInputError)
        assert named in restored(await session.post("whep", body)).message
        assert len(peers[0]) == 0
        assert not server.sessions.all[0].live._watchers


async def test_offers_damaged_anywhere_never_fail_the_server(engine: Engine, peers: list[Peers]) -> None:
    settings = {
        "webrtc": WebRtcConfig(max_peers=1000, max_peers_per_session=1000),
        "limits": SessionLimits(resume_window_s=600),
    }
    async with web_serving(engine, **settings) as (server, client):
        client.http.timeout = httpx.Timeout(60)
        session = Driven(server, client, await client.create())
        async with viewer(sound=True) as peer:
            await peer.setLocalDescription(await peer.createOffer())
            lines = peer.localDescription.sdp.splitlines()
        for k, line in enumerate(lines):
            damaged = ("", line[: len(line) // 2], line + " 99999999999", line.replace("1", "é"))[k % 4]
            answer = await session.post("whep", "\r\n".join([*lines[:k], damaged, *lines[k + 1 :], ""]))
            assert answer.status_code in (201, 400), (damaged, answer.text)
        await peers[0].close()


async def test_a_wrong_token_a_wrong_type_and_an_offer_that_takes_nothing_are_named(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        session = Driven(server, client, await client.create())
        offer = await sound_offer()
        assert isinstance(restored(await session.post("whep", offer, Authorization="Bearer x")), AuthenticationError)
        assert (await session.post("whep", offer, **{"Content-Type": "text/plain"})).status_code == 415
        peer = connection()
        peer.addTransceiver("video", direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        error = restored(await session.post("whep", peer.localDescription.sdp))
        assert "takes no video" in error.message
        await peer.close()


async def test_without_aiortc_the_extra_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whep, "webrtc_installed", lambda: False)
    async with web_serving(engine) as (server, client):
        session = Driven(server, client, await client.create())
        answer = await session.post("whep", b"v=0")
        assert answer.status_code == 501
        assert "avatar-sdk[webrtc]" in restored(answer).message
        assert (await client.http.get("/v1/info")).json()["whep"] is False
