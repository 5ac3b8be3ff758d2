"""A Vision-Agents processor: the user's camera goes in, the agent publishes the avatar that it drives.

pip install vision-agents avatar-client, and start `avatar serve` on the same machine: it finds the poses in the images.

    agent = Agent(edge=getstream.Edge(), agent_user=…, llm=…, processors=[AvatarProcessor("me.jpg")])
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

import aiortc
import av
import avatar_client
from avatar_client.clock import monotonic_us
from vision_agents.core.processors.base_processor import VideoProcessorPublisher
from vision_agents.core.utils.video_forwarder import VideoForwarder

CLOCK_HZ = 90_000


class AvatarTrack(aiortc.VideoStreamTrack):
    """The newest avatar frame each time there is one; time stamps are when it came."""

    def __init__(self) -> None:
        super().__init__()
        self._frame: avatar_client.Frame | None = None
        self._came = asyncio.Event()

    def show(self, frame: avatar_client.Frame) -> None:
        """The next frame to send; it replaces one that waits."""
        self._frame = frame
        self._came.set()

    async def recv(self) -> av.VideoFrame:
        """Waits for a frame."""
        await self._came.wait()
        self._came.clear()
        assert self._frame is not None
        frame = av.VideoFrame.from_ndarray(self._frame.image, format="rgb24")
        frame.pts, frame.time_base = monotonic_us() * CLOCK_HZ // 1_000_000, Fraction(1, CLOCK_HZ)
        return frame


class AvatarProcessor(VideoProcessorPublisher):
    """One avatar session, from the first camera track to `close`."""

    name = "avatar"

    def __init__(self, portrait: str, target: str = "127.0.0.1:50051", fps: float = 24.0) -> None:
        super().__init__()
        self._portrait, self._target, self._fps = portrait, target, fps
        self._track = AvatarTrack()
        self._avatar: avatar_client.AvatarSession | None = None
        self._running: asyncio.Task[None] | None = None
        self._forwarder: VideoForwarder | None = None
        self._own = False

    async def process_video(
        self, track: aiortc.VideoStreamTrack, participant_id: str | None, shared_forwarder: VideoForwarder | None = None
    ) -> None:
        """A camera begins: its images drive the avatar."""
        await self.stop_processing()
        self._running = self._running or asyncio.create_task(self._run())
        self._own = shared_forwarder is None
        self._forwarder = shared_forwarder or VideoForwarder(track, max_buffer=1, fps=self._fps, name="avatar")
        self._forwarder.add_frame_handler(self._drive, fps=self._fps, name="avatar")

    def publish_video_track(self) -> aiortc.VideoStreamTrack:
        """What the agent publishes."""
        return self._track

    async def stop_processing(self) -> None:
        """The camera is gone; the avatar idles."""
        forwarder, self._forwarder = self._forwarder, None
        if forwarder is not None:
            await forwarder.remove_frame_handler(self._drive)
            if self._own:
                await forwarder.stop()

    async def close(self) -> None:
        """Ends the session."""
        await self.stop_processing()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._track.stop()

    def _drive(self, frame: av.VideoFrame) -> None:
        if self._avatar is not None:
            self._avatar.send_camera(frame.to_ndarray(format="rgb24"), monotonic_us())

    async def _run(self) -> None:
        async with (
            avatar_client.AvatarClient(self._target) as client,
            client.session(self._portrait, consent=True) as self._avatar,
        ):
            async for frame in self._avatar:
                self._track.show(frame)
