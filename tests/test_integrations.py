"""Samples for other frameworks, as far as they run without these frameworks' servers.

None of the frameworks is installed for the tests: they want other versions of protobuf. In an environment of their own:
pip install pipecat-ai avatar-client pillow pytest pytest-asyncio pytest-timeout, and AVATAR_TEST_SERVICE=host:port.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import avatar_client
import numpy as np
import pytest
from numpy.typing import NDArray

SAMPLES = Path(__file__).resolve().parent.parent / "samples/integrations"


def sample(name: str) -> ModuleType:
    """One of the samples, imported."""
    spec = importlib.util.spec_from_file_location(name, SAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A service that finds poses in pictures."""
    if given := os.environ.get("AVATAR_TEST_SERVICE"):
        yield given
        return
    from avatar_sdk.local_server import LocalServer, LocalServerConfig

    with LocalServer(LocalServerConfig(model="warp")) as server:
        yield server.target


@pytest.fixture
def face(sample_portrait: Path) -> NDArray[np.uint8]:
    """A driver, (480, 480, 3) uint8 RGB."""
    from PIL import Image

    return np.asarray(Image.open(sample_portrait).convert("RGB").resize((480, 480)))


async def test_livekit_publishes_the_avatar_on_behalf_of_the_driver(
    target: str, face: NDArray[np.uint8], sample_portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtc = pytest.importorskip("livekit.rtc", reason="needs livekit and livekit-api")
    livekit = sample("livekit_avatar")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", 8 * "secret")
    claims = json.loads(base64.urlsafe_b64decode(livekit.join_token("room", "ann").split(".")[1] + "=="))
    assert (claims["sub"], claims["kind"]) == ("avatar-of-ann", "agent")
    assert claims["attributes"] == {"lk.publish_on_behalf": "ann"}

    async def camera() -> AsyncIterator[Any]:
        rgba = np.dstack([face, np.full(face.shape[:2], 255, np.uint8)])
        while True:
            frame = rtc.VideoFrame(face.shape[1], face.shape[0], rtc.VideoBufferType.RGBA, rgba.tobytes())
            yield SimpleNamespace(frame=frame)
            await asyncio.sleep(0.04)

    captured: list[Any] = []

    class Source(rtc.VideoSource):
        def capture_frame(self, frame: Any, **options: Any) -> None:
            super().capture_frame(frame, **options)
            captured.append(frame)

    async with (
        avatar_client.AvatarClient(target) as client,
        client.session(sample_portrait, consent=True) as session,
    ):
        source = Source(session.info.width_px, session.info.height_px)
        assert rtc.LocalVideoTrack.create_video_track("avatar", source).kind == rtc.TrackKind.KIND_VIDEO
        tasks = [
            asyncio.create_task(livekit.publish(session, source)),
            asyncio.create_task(livekit.drive(camera(), session)),
        ]
        while len(captured) < 20:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert (captured[0].width, captured[0].height) == (512, 512)


async def test_pipecat_turns_images_into_the_avatars_and_lets_the_rest_pass(
    target: str, face: NDArray[np.uint8], sample_portrait: Path
) -> None:
    pytest.importorskip("pipecat", reason="needs pipecat-ai")
    from pipecat.frames.frames import InputImageRawFrame, OutputImageRawFrame, TextFrame
    from pipecat.tests.utils import SleepFrame, run_test

    image = InputImageRawFrame(face.tobytes(), (480, 480), "RGB")
    driving = [frame for _ in range(100) for frame in (image, SleepFrame(0.04))]
    down, _ = await run_test(
        sample("pipecat_avatar").AvatarProcessor(str(sample_portrait), target),
        frames_to_send=[TextFrame("hello"), *driving],
    )
    avatars = [frame for frame in down if isinstance(frame, OutputImageRawFrame)]
    assert len(avatars) > 20
    assert (avatars[0].size, len(avatars[0].image)) == ((512, 512), 512 * 512 * 3)
    assert any(isinstance(frame, TextFrame) for frame in down)
    assert not any(isinstance(frame, InputImageRawFrame) for frame in down)


async def test_vision_agents_publishes_the_avatar_of_the_camera(
    target: str, face: NDArray[np.uint8], sample_portrait: Path
) -> None:
    pytest.importorskip("vision_agents", reason="needs vision-agents")
    import aiortc
    import av

    class Camera(aiortc.VideoStreamTrack):
        async def recv(self) -> Any:
            frame = av.VideoFrame.from_ndarray(face, format="rgb24")
            frame.pts, frame.time_base = await self.next_timestamp()
            return frame

    processor = sample("vision_agents_avatar").AvatarProcessor(str(sample_portrait), target)
    published = processor.publish_video_track()
    await processor.process_video(Camera(), "ann")
    frames = [await published.recv() for _ in range(20)]
    await processor.close()
    assert (frames[0].width, frames[0].height) == (512, 512)
    assert frames[-1].pts > frames[0].pts
