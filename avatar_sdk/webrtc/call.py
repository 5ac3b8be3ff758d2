"""What the peers of one session share: its pictures, its sound, and how far the one is behind the other."""

from __future__ import annotations

from typing import Final

from aiortc.mediastreams import MediaStreamTrack

from avatar_sdk.motion import MotionSource
from avatar_sdk.session import LiveSession, WatchedFrame
from avatar_sdk.webrtc.camera import CameraDriver
from avatar_sdk.webrtc.config import WebRtcConfig
from avatar_sdk.webrtc.delay import LatencyMeter
from avatar_sdk.webrtc.sound import SessionSound
from avatar_sdk.webrtc.video import AvatarTrack

PREFETCH_MS: Final = 80.0
"""aiortc holds incoming sound for four packets of 20 ms, which is part of the delay already."""
UNMEASURED_MS: Final = 80.0
"""The avatar's latency until it has been measured."""


class Call:
    """One session's pictures and sound for its peers."""

    def __init__(self, live: LiveSession, config: WebRtcConfig) -> None:
        self.meter = LatencyMeter()
        self.sound = SessionSound(self.audio_delay_s)
        self.camera: CameraDriver | None = None
        self._live = live
        self._config = config

    def audio_delay_s(self) -> float:
        """How long sound is to be held back here, beyond what aiortc holds it. Unit: seconds."""
        if self._config.audio_delay_ms is not None:
            return self._config.audio_delay_ms / 1000
        delay_us = self.meter.delay_us
        latency_ms = UNMEASURED_MS if delay_us is None else delay_us / 1000
        before_ms = self._config.camera_lag_ms if self.camera is None else self.camera.interval_us / 1000
        return max(0.0, before_ms + latency_ms - PREFETCH_MS) / 1000

    def watch(self) -> AvatarTrack:
        """A video track of the session."""
        return AvatarTrack(self._live.watch(), self._measure)

    async def open_camera(self) -> None:
        """Makes the session ready to be driven by a peer's camera.

        Raises:
            SessionBusyError: another stream drives the session.
            SessionNotFoundError: the session has ended.
            MissingDependencyError: there is no MediaPipe.
        """
        self.camera = CameraDriver(self._live)
        try:
            await self.camera.open()
        except BaseException:
            await self.hang_up()
            raise

    def take(self, track: MediaStreamTrack) -> None:
        """Takes a peer's picture or sound from now on."""
        if track.kind == "audio":
            self.sound.speak(track)
        elif self.camera is not None:
            self.camera.start(track)

    async def hang_up(self) -> None:
        """The peer that sent is gone. Idempotent."""
        self.sound.silence()
        camera, self.camera = self.camera, None
        if camera is not None:
            await camera.close()

    async def close(self) -> None:
        """Nobody is left."""
        await self.hang_up()
        self.sound.close()

    def _measure(self, frame: WatchedFrame, sent_us: int) -> None:
        """A picture left: how old is what it shows? On this clock, since a camera's picture or a pose came in."""
        if frame.source is MotionSource.POSE:
            came_us = frame.pose_received_us if self.camera is None else frame.pose_timestamp_us
            self.meter.add(sent_us - came_us)
