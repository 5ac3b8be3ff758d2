"""A real browser as a peer in a call."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from avatar_client._gen import avatar_pb2 as pb
from service import photo, pose_message
from websockets.sync.client import connect

pytest.importorskip("aiortc", reason="needs the extra [webrtc]")
browser = pytest.importorskip("browser", reason="needs the tests of the page")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WATCH = """async ({path, token, frames}) => {
    const peer = new RTCPeerConnection();
    const video = document.createElement('video');
    video.muted = true;
    peer.ontrack = event => { video.srcObject = event.streams[0] ?? new MediaStream([event.track]); video.play(); };
    peer.addTransceiver('video', {direction: 'recvonly'});
    await peer.setLocalDescription();
    while (peer.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 20));
    const answer = await fetch(path, {
        method: 'POST', body: peer.localDescription.sdp,
        headers: {'Content-Type': 'application/sdp', 'Authorization': `Bearer ${token}`},
    });
    if (answer.status !== 201) throw new Error(await answer.text());
    await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    const decoded = async () => {
        for (const one of (await peer.getStats()).values()) if (one.type === 'inbound-rtp') return one;
        return {framesDecoded: 0};
    };
    while (((await decoded()).framesDecoded ?? 0) < frames) await new Promise(done => setTimeout(done, 50));
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext('2d').drawImage(video, 0, 0);
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const {framesPerSecond, framesDecoded, framesDropped} = await decoded();
    const place = answer.headers.get('Location');
    peer.close();
    return {size: [canvas.width, canvas.height], pixels: [...pixels], place, framesPerSecond, framesDecoded};
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as opened:
        yield opened


def call(url: str, name: str, **fields: Any) -> Any:
    body = getattr(pb, f"{name}Request")(**fields).SerializeToString()
    headers = {"Content-Type": "application/proto"}
    answer = httpx.post(f"{url}avatar.v1.AvatarService/{name}", content=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return getattr(pb, f"{name}Response").FromString(answer.content)


def drive(url: str, created: Any, stopped: threading.Event) -> None:
    """Poses into the session, and its frames acknowledged, until told to stop."""
    with connect(url.replace("http", "ws", 1) + "v1/stream", subprotocols=["avatar.v1"]) as socket:  # type: ignore[list-item]

        def say(**arm: Any) -> None:
            socket.send(pb.StreamRequest(**arm).SerializeToString())

        say(config=pb.StreamConfig(session_id=created.session_id, resume_token=created.resume_token))
        for seq in itertools.count(1):
            if stopped.is_set():
                return
            say(pose=pose_message(seq))
            deadline = time.monotonic() + 0.04
            while (left := deadline - time.monotonic()) > 0:
                try:
                    response = pb.StreamResponse.FromString(socket.recv(timeout=left))
                except TimeoutError:
                    break
                if response.WhichOneof("message") == "frame":
                    say(ack=pb.Ack(frame_seq=response.frame.seq))


def test_chromium_sees_the_avatar_over_webrtc(chromium: Browser) -> None:
    server = browser.PageServer()
    server.start()
    stopped = threading.Event()
    try:
        created = call(server.url, "CreateSession", portrait=photo(), consent=True)
        driver = threading.Thread(target=drive, args=(server.url, created, stopped), daemon=True)
        driver.start()
        page = chromium.new_page()
        page.goto(server.url)
        path = f"/v1/sessions/{created.session_id}/whep"
        seen = page.evaluate(WATCH, {"path": path, "token": created.resume_token, "frames": 48})
        page.close()
    finally:
        stopped.set()
        server.close()
    assert seen["framesDecoded"] >= 48
    assert seen["size"] == [256, 256]
    pixels = np.array(seen["pixels"], np.uint8).reshape(256, 256, 4)[:, :, :3]
    assert pixels.std() > 20, "a portrait, not a black or green picture"
