"""A Pipecat processor: camera images go in, the avatar comes out as the bot's video.

pip install pipecat-ai avatar-client, and start `avatar serve` on the same machine: it finds the poses in the images.
In your pipeline, where TransportParams say video_in_enabled, video_out_enabled, video_out_is_live,
video_out_width=512, video_out_height=512 and video_out_framerate=24:

    Pipeline([transport.input(), AvatarProcessor("me.jpg"), transport.output()])

Sound and all other frames pass through.
"""

from __future__ import annotations

import asyncio

import avatar_client
import numpy as np
from avatar_client.clock import monotonic_us
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InputImageRawFrame, OutputImageRawFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor


class AvatarProcessor(FrameProcessor):
    """Turns the driver's images into the avatar's; one session from the pipeline's start to its end."""

    def __init__(self, portrait: str, target: str = "127.0.0.1:50051") -> None:
        super().__init__()
        self._portrait, self._target = portrait, target
        self._avatar: avatar_client.AvatarSession | None = None
        self._running: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Images drive the avatar and go no further; everything else passes."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputImageRawFrame) and direction is FrameDirection.DOWNSTREAM:
            if self._avatar is not None:
                width, height = frame.size
                image = np.frombuffer(frame.image, np.uint8).reshape(height, width, 3)
                self._avatar.send_camera(image, monotonic_us())
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._running = self.create_task(self._run())
        elif isinstance(frame, EndFrame | CancelFrame):
            await self._stop()

    async def cleanup(self) -> None:
        """The pipeline is gone."""
        await self._stop()
        await super().cleanup()

    async def _run(self) -> None:
        """Every frame of the avatar, at once; the session gives the newest each time."""
        async with (
            avatar_client.AvatarClient(self._target) as client,
            client.session(self._portrait, consent=True) as self._avatar,
        ):
            async for frame in self._avatar:
                height, width = frame.image.shape[:2]
                await self.push_frame(OutputImageRawFrame(frame.image.tobytes(), (width, height), "RGB"))

    async def _stop(self) -> None:
        running, self._running, self._avatar = self._running, None, None
        if running is not None:
            await self.cancel_task(running)
