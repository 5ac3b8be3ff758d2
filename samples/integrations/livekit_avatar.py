"""A LiveKit participant that shows an avatar on behalf of somebody else in the room, driven by his or her camera.

pip install livekit livekit-api avatar-client, and start `avatar serve` on the same machine: it finds the poses, because
LiveKit and MediaPipe want different versions of protobuf. Then:
LIVEKIT_URL=wss://… LIVEKIT_API_KEY=… LIVEKIT_API_SECRET=… python livekit_avatar.py ROOM IDENTITY PORTRAIT [TARGET]

IDENTITY is the person whose camera drives; other participants subscribe to `avatar-of-IDENTITY` instead of the camera.
"""

from __future__ import annotations

import asyncio
import os
import sys

import avatar_client
import numpy as np
from avatar_client.clock import monotonic_us
from livekit import api, rtc

FPS = 24


def join_token(room: str, identity: str) -> str:
    """A token for an agent that publishes on behalf of `identity`."""
    grants = api.VideoGrants(room_join=True, room=room, can_publish=True, can_subscribe=True)
    token = api.AccessToken().with_identity(f"avatar-of-{identity}").with_kind("agent").with_grants(grants)
    return token.with_attributes({"lk.publish_on_behalf": identity}).to_jwt()


def to_livekit(frame: avatar_client.Frame) -> rtc.VideoFrame:
    """An avatar frame as LiveKit wants it."""
    height, width = frame.image.shape[:2]
    rgba = np.dstack([frame.image, np.full((height, width), 255, np.uint8)])
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, rgba.tobytes())


async def publish(session: avatar_client.AvatarSession, source: rtc.VideoSource) -> None:
    """Every frame of the avatar, at once; the session gives the newest each time."""
    async for frame in session:
        source.capture_frame(to_livekit(frame), timestamp_us=monotonic_us())


async def drive(images: rtc.VideoStream, session: avatar_client.AvatarSession) -> None:
    """The newest camera image (RGBA) each time, as long as there are any; the service finds the pose in it."""
    async for event in images:
        frame = event.frame
        rgba = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)
        session.send_camera(rgba[:, :, :3], monotonic_us())


async def main(room_name: str, identity: str, portrait: str, target: str) -> None:
    """Joins, waits for the camera, and stays until it is gone."""
    room, camera = rtc.Room(), asyncio.get_running_loop().create_future()

    @room.on("track_subscribed")
    def subscribed(track: rtc.Track, _: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        if who.identity == identity and track.kind == rtc.TrackKind.KIND_VIDEO and not camera.done():
            camera.set_result(track)

    async with (
        avatar_client.AvatarClient(target) as client,
        client.session(portrait, consent=True) as session,
    ):
        source = rtc.VideoSource(session.info.width_px, session.info.height_px)
        await room.connect(os.environ["LIVEKIT_URL"], join_token(room_name, identity))
        try:
            track = rtc.LocalVideoTrack.create_video_track("avatar", source)
            encoding = rtc.VideoEncoding(max_framerate=FPS, max_bitrate=3_000_000)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_encoding=encoding)
            await room.local_participant.publish_track(track, options)
            publishing = asyncio.create_task(publish(session, source))
            images = rtc.VideoStream(await camera, capacity=1, format=rtc.VideoBufferType.RGBA)
            await drive(images, session)
            publishing.cancel()
        finally:
            await room.disconnect()


if __name__ == "__main__":
    room_name, identity, portrait, target = (*sys.argv[1:], "127.0.0.1:50051")[:4]
    asyncio.run(main(room_name, identity, portrait, target))
