"""The sample of a call: two tabs of a real Chromium, an avatar in one, its picture in the other."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from browser import PATIENCE_MS, ROOT, PageServer, chromium, decoded, find_chromium, free_port

CALL = ROOT / "samples/call"
ESBUILD = ROOT / "node_modules/.bin/esbuild"

pytestmark = pytest.mark.skipif(
    not ESBUILD.exists(), reason="THE SAMPLE OF A CALL IS NOT TESTED: it needs Node 20.19 or newer, and `npm ci`"
)

PICTURE = """() => {
  const video = document.querySelector("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png");
}"""


@pytest.fixture
def page_url() -> Iterator[str]:
    """The sample, served as its first lines say."""
    find_chromium()
    port = free_port()
    options = ("--bundle", "--format=esm", f"--outdir={CALL}", f"--servedir={CALL}", f"--serve=127.0.0.1:{port}")
    command = [ESBUILD, CALL / "call.ts", *options, "--conditions=@avatar-sdk/source", "--log-level=error"]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as server:
        try:
            while True:
                try:
                    httpx.get(f"{url}/call.js", trust_env=False).raise_for_status()
                    break
                except httpx.TransportError:
                    assert server.poll() is None
                    time.sleep(0.05)
            yield url
        finally:
            server.kill()


def test_the_avatar_of_one_tab_is_seen_in_the_other(page_url: str, film: Path, sample_portrait: Path) -> None:
    service = PageServer(("--model", "warp", "--size", "256", "--slots", "1", "--allow-origin", page_url))
    camera = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}")
    try:
        service.start()
        with chromium(*camera) as browser:
            context = browser.new_context(permissions=["camera"])
            context.set_default_timeout(PATIENCE_MS)
            watching, taking_part = context.new_page(), context.new_page()
            faults: list[str] = []
            for page in (watching, taking_part):
                page.on("pageerror", lambda error: faults.append(str(error)))
                page.goto(f"{page_url}/?service={service.url}")
            taking_part.set_input_files("[name=portrait]", sample_portrait)
            taking_part.check("[name=consent]")
            taking_part.click("button")
            taking_part.locator("[role=status]", has_text="generating").wait_for()
            watching.bring_to_front()  # the tab with the avatar is hidden from here on
            watching.wait_for_function("() => document.querySelector('video')?.videoWidth === 256")
            shown = "() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
            before, first = watching.evaluate(shown), decoded(watching.evaluate(PICTURE))
            watching.wait_for_function(f"(before) => ({shown})() > before + 24", arg=before)
            second = decoded(watching.evaluate(PICTURE))
            assert first.std() > 20
            assert np.abs(first.astype(int) - second).max() > 40
            taking_part.close()
            watching.locator("video").wait_for(state="detached")
            assert faults == []
    finally:
        service.close()
