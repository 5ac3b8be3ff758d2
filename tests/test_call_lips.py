"""Lips and words agree in what a session publishes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
from avatar_client.tracking import PoseTracker
from numpy.typing import NDArray
from service import serving
from virtual_time import VirtualLoop, run_virtually

pytest.importorskip("aiortc", reason="needs the extra [webrtc]")

from aiortc.mediastreams import MediaStreamError
from call_peers import (
    FPS,
    ClipCamera,
    ClipMicrophone,
    clip,
    connected,
    connection,
    jaw_opening,
    mouth_is_open,
    offered,
    viewer,
)

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.motion import MotionSource
from avatar_sdk.session import WatchedFrame, Watcher, now_us
from avatar_sdk.webrtc import WebRtcConfig, sound, video
from avatar_sdk.webrtc.call import PREFETCH_MS, Call
from avatar_sdk.webrtc.delay import RATE_HZ
from avatar_sdk.webrtc.peers import Peers
from avatar_sdk.webrtc.sound import DelayedAudioTrack
from avatar_sdk.webrtc.video import AvatarTrack

APART_MS = 45
SETTLED_US = 3_000_000


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> VirtualLoop:
    """Time for everything in `avatar_sdk.webrtc`."""
    loop = VirtualLoop()
    for module in (sound, video):
        monkeypatch.setattr(module, "now_us", loop.now_us)
    return loop


class Driven:
    """A session with a driver in front of his camera. The model takes `latency_s(time)`; frames come in order."""

    def __init__(self, loop: VirtualLoop, latency_s: Callable[[float], float]) -> None:
        self._loop, self._latency_s = loop, latency_s
        self.watcher = Watcher(lambda _: None)

    def watch(self) -> Watcher:
        return self.watcher

    async def drive(self, start_s: float, seconds: float, camera_lag_s: float) -> None:
        """Each picture of the clip's camera becomes a frame of the same face."""
        for k in range(round(seconds * FPS)):
            shown_s = start_s + k / FPS
            received_us = round(1e6 * (shown_s + camera_lag_s))
            finished_s = shown_s + camera_lag_s + self._latency_s(k / FPS)
            image = clip()[mouth_is_open(k)]
            frame = WatchedFrame(k + 1, 0, image, MotionSource.POSE, k + 1, 0, received_us, round(1e6 * finished_s))
            self._loop.call_at(finished_s, self.watcher.put, frame)
        await asyncio.sleep(seconds)


class Published:
    """What leaves a session, with the times at which it does: these are what a player puts together again."""

    def __init__(self) -> None:
        self.pictures: list[tuple[int, NDArray[np.uint8]]] = []
        self.sounds: list[tuple[int, float]] = []

    async def take_pictures(self, track: AvatarTrack, now_us: Callable[[], int]) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.pictures.append((now_us(), frame.to_ndarray(format="rgb24")))

    async def take_sounds(self, track: DelayedAudioTrack, now_us: Callable[[], int]) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                self.heard((await track.recv()).to_ndarray(), now_us())

    def heard(self, samples: NDArray[np.int16], at_us: int) -> None:
        """One block of sound, looked at by the millisecond."""
        loud = np.abs(samples.reshape(-1, 2)[:, 0].astype(int))
        step = RATE_HZ // 1000
        self.sounds += [(at_us + 1000 * k, float(loud[k * step : (k + 1) * step].max())) for k in range(20)]

    def apart_ms(self, from_us: int) -> list[float]:
        """For each click how much later it is than the nearest opening of the lips, as MediaPipe sees them."""
        with PoseTracker() as tracker:
            faces = [(at_us, tracker.track(image, at_us).face) for at_us, image in self.pictures]
        lips_us = _rises([(at_us, jaw_opening(face)) for at_us, face in faces if face is not None], 0.03)
        clicks_us = [at_us for at_us in _rises(self.sounds, 1000) if at_us > from_us]
        return [(click_us - min(lips_us, key=lambda one: abs(one - click_us))) / 1000 for click_us in clicks_us]


def _rises(signal: list[tuple[int, float]], threshold: float) -> list[int]:
    """When a signal passes the threshold from below."""
    return [at_us for (_, before), (at_us, value) in itertools.pairwise(signal) if before <= threshold < value]


@pytest.mark.parametrize(
    "latency_s",
    [
        pytest.param(lambda _: 0.045, id="quick"),
        pytest.param(lambda _: 0.190, id="latents of four frames"),
        pytest.param(lambda time_s: 0.080 + 0.015 * np.sin(40 * time_s), id="unsteady"),
        pytest.param(lambda time_s: 0.060 if time_s < 1.5 else 0.150, id="slower from now on"),
    ],
)
def test_lips_and_words_agree_in_the_published_tracks(loop: VirtualLoop, latency_s: Callable[[float], float]) -> None:
    seconds, lag_ms, published = 8.0, 40.0, Published()

    async def call() -> None:
        start_s = loop.time()
        driven = Driven(loop, latency_s)
        shared = Call(driven, WebRtcConfig(camera_lag_ms=lag_ms))  # type: ignore[arg-type]
        tracks = shared.watch(), shared.sound.listen()
        shared.sound.speak(ClipMicrophone(start_s + PREFETCH_MS / 1000, loop.time))
        takers = [
            asyncio.create_task(published.take_pictures(tracks[0], loop.now_us)),
            asyncio.create_task(published.take_sounds(tracks[1], loop.now_us)),
        ]
        await driven.drive(start_s, seconds, lag_ms / 1000)
        driven.watcher.close()
        await shared.close()
        await asyncio.wait(takers)

    start_us = loop.now_us()
    run_virtually(loop, call())
    assert len(published.pictures) > 0.95 * seconds * FPS
    apart_ms = published.apart_ms(start_us + SETTLED_US)
    assert len(apart_ms) >= 8
    assert max(map(abs, apart_ms)) <= APART_MS, apart_ms


async def test_a_peers_camera_drives_the_avatar_and_its_words_go_out_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    published = Published()
    send_picture, send_sound = AvatarTrack.recv, DelayedAudioTrack.recv

    async def picture(track: AvatarTrack) -> object:
        frame = await send_picture(track)
        published.pictures.append((now_us(), frame.to_ndarray(format="rgb24")))
        return frame

    async def words(track: DelayedAudioTrack) -> object:
        frame = await send_sound(track)
        published.heard(frame.to_ndarray(), now_us())
        return frame

    monkeypatch.setattr(AvatarTrack, "recv", picture)
    monkeypatch.setattr(DelayedAudioTrack, "recv", words)
    clip()
    peers, driver = Peers(), connection()
    async with serving(Engine.load(EngineConfig(model="warp", slots=1)), size_px=192) as (server, client):
        await client.create()
        entry = server.sessions.all[0]
        async with viewer(sound=True) as watching:
            watched = await peers.publish(entry.session_id, entry.live, await offered(watching))
            await connected(watching, watched.answer)
            start_s = time.monotonic() + 0.5
            driver.addTrack(ClipCamera(start_s))
            driver.addTrack(ClipMicrophone(start_s))
            driven = await peers.receive(entry.session_id, entry.live, await offered(driver))
            await connected(driver, driven.answer)
            start_us = now_us()
            await asyncio.sleep(5)
            await driver.close()
        await peers.close()
    apart_ms = published.apart_ms(start_us)
    assert len(apart_ms) >= 3, "the avatar's mouth opened, and the clicks were heard"
