"""Peers for tests of calls: a clip whose jaw opens at each click, and ends of real peer connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import cache

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame, VideoFrame
from avatar_client.pose import Pose
from motion_faces import sample_faces
from numpy.typing import NDArray

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.portrait import PortraitConfig, load_portrait
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT
from avatar_sdk.webrtc.offer import Offer, read_offer

PERIOD_S = 0.5
OPEN_S = 0.2
FPS = 24
RATE_HZ = 48_000
BLOCK = 960


def jaw_opening(face: NDArray[np.float32]) -> float:
    """Between the lips, in face heights."""
    return float(np.linalg.norm(face[13] - face[14]) / np.linalg.norm(face[10] - face[152]))


@cache
def clip() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The sample portrait with its mouth closed and open, (256, 256, 3) uint8 RGB."""
    engine = Engine.load(EngineConfig(model="warp", slots=1))
    avatar = engine.open(load_portrait(SAMPLE_PORTRAIT, PortraitConfig(width_px=256, height_px=256)))
    faces = sample_faces()
    images = []
    for face in (faces[0], max(faces, key=jaw_opening)):
        for _ in range(4):
            avatar_us = 41_667 * len(images)
            picture = engine.step(avatar, Pose(timestamp_us=avatar_us, face=face), avatar_us)
            images.append(picture.image.copy())
    engine.close(avatar)
    return images[3], images[7]


def mouth_is_open(frame: int) -> bool:
    """In frame number `frame` of the clip, from 0."""
    return frame >= FPS and frame % round(PERIOD_S * FPS) < OPEN_S * FPS


def click_block(block: int) -> NDArray[np.int16]:
    """Block number `block` of the clip's sound, (1, 2·960) interleaved stereo: a click when the mouth opens."""
    samples = np.zeros((1, 2 * BLOCK), np.int16)
    if block % round(PERIOD_S * RATE_HZ / BLOCK) == 0 and block * BLOCK >= RATE_HZ:
        samples[:] = 12_000 * np.sin(0.3 * np.repeat(np.arange(BLOCK), 2))
    return samples


class ClipCamera(MediaStreamTrack):
    """A driver whose jaw opens twice a second."""

    kind = "video"

    def __init__(self, start_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._start_s, self._clock, self._count = start_s, clock, 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(self._start_s + self._count / FPS - self._clock())
        frame = VideoFrame.from_ndarray(clip()[mouth_is_open(self._count)], format="rgb24")
        frame.pts, frame.time_base = self._count * 90_000 // FPS, Fraction(1, 90_000)
        self._count += 1
        return frame


class ClipMicrophone(MediaStreamTrack):
    """A click at each opening of the jaw."""

    kind = "audio"

    def __init__(self, start_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._start_s, self._clock, self._count = start_s, clock, 0

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(self._start_s + self._count * BLOCK / RATE_HZ - self._clock())
        frame = AudioFrame.from_ndarray(click_block(self._count), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._count * BLOCK, Fraction(1, RATE_HZ)
        self._count += 1
        return frame


def connection() -> RTCPeerConnection:
    """A peer that asks no server for its address."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def offered(peer: RTCPeerConnection) -> Offer:
    """The offer of `peer`, with its candidates."""
    await peer.setLocalDescription(await peer.createOffer())
    return read_offer(peer.localDescription.sdp.encode())


async def connected(peer: RTCPeerConnection, answer: str) -> None:
    """Applies the answer and waits for the connection."""
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    while peer.connectionState != "connected":
        assert peer.connectionState in ("new", "connecting"), peer.connectionState
        await asyncio.sleep(0.01)


@asynccontextmanager
async def viewer(sound: bool = False) -> AsyncIterator[RTCPeerConnection]:
    """A peer that takes video, and sound if wanted."""
    peer = connection()
    peer.addTransceiver("video", direction="recvonly")
    if sound:
        peer.addTransceiver("audio", direction="recvonly")
    try:
        yield peer
    finally:
        await peer.close()


def track_of(peer: RTCPeerConnection, kind: str) -> MediaStreamTrack:
    return next(one.receiver.track for one in peer.getTransceivers() if one.kind == kind)
