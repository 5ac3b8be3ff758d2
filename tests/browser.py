"""A real Chromium before a real service: what the browser tests share."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
TRACKER = ROOT / "avatar_sdk/server/web/tracker"
SHOTS = ROOT / "out/browser"
PATIENCE_MS = 40_000
"""For what a busy machine may take long over; nothing is asserted about times."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str:
    """The browser of this machine. Skips the test where there is none."""
    pytest.importorskip("playwright", reason="THE PAGE IS NOT TESTED IN A BROWSER: it needs the dev extra")
    found = os.environ.get("AVATAR_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip(
            "THE PAGE IS NOT TESTED IN A BROWSER: this machine has none of "
            f"{', '.join(NAMES)}; install Chromium, or set AVATAR_CHROMIUM"
        )
    return found


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A browser without a window; a module of tests shares one, for Playwright's loop excludes asyncio's meanwhile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*FLAGS, *flags])
        yield browser
        browser.close()


@dataclass
class PageServer:
    """`avatar serve` as a process that can be stopped and started again on the same ports."""

    arguments: Sequence[str] = ("--model", "warp", "--size", "256", "--slots", "2")
    grpc_port: int = field(default_factory=lambda: free_port())
    web_port: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}/"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def start(self) -> None:
        ports = ("--port", str(self.grpc_port), "--web-port", str(self.web_port))
        command = [sys.executable, "-m", "avatar_sdk.cli", "serve", *ports, *self.arguments, "--until-stdin-closes"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, cwd=ROOT)
        deadline = time.monotonic() + 90
        while True:
            try:
                httpx.get(f"{self.url}v1/info", trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                assert self.process.poll() is None, self.words()
                assert time.monotonic() < deadline, self.words()
                time.sleep(0.1)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """For good."""
        self.stop()
        self.log.close()

    def words(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Visit:
    """The page in one tab, by what a user sees and does; what it says on the console is kept."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: set[str] = set()
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"thrown: {error}"))
        page.on("request", lambda request: self.asked.add(request.url))
        page.set_default_timeout(PATIENCE_MS)
        page.goto(url)
        page.locator("#shelf button").first.wait_for()
        page.locator("#driver option").first.wait_for(state="attached")

    def go_live(self, driver: str = "demo") -> None:
        """Chooses the first driver of a kind, presses the button and waits for the avatar."""
        self.choose(driver)
        self.page.click("#live")
        self.status("Live")
        self.page.locator("html.live").wait_for(state="attached")

    def choose(self, driver: str) -> None:
        value = self.page.locator(f'#driver option[value^="{driver}"]').first.get_attribute("value")
        self.page.select_option("#driver", value)

    def status(self, words: str) -> None:
        self.page.locator("#status", has_text=re.compile(rf"^\s*{words}")).wait_for()

    def notice(self, title: str) -> str:
        """Waits for a notice of this title; its text."""
        self.page.locator("#notice-title", has_text=title).wait_for()
        return self.page.inner_text("#notice-text")

    def toast(self, words: str) -> None:
        self.page.locator("#toasts p", has_text=words).first.wait_for()

    def add_portrait(self, name: str, image: bytes) -> None:
        kind = "image/png" if image[:4] == b"\x89PNG" else "image/jpeg"
        self.page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": image})

    def picture(self) -> NDArray[np.uint8]:
        """What the canvas shows, (H, W, 3) uint8 RGB, unmirrored."""
        return decoded(self.page.evaluate("() => document.getElementById('avatar').toDataURL('image/png')"))

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => avatarPage.show.session.stats()")
        return found

    def shoot(self, name: str) -> None:
        """Keeps a screenshot as an artefact."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", animations="disabled")

    def leave(self) -> None:
        """Ends the session, so that its slot is free for who comes next, and closes the window."""
        self.page.evaluate("() => avatarPage.show?.session.close()")
        self.page.context.close()

    def faults(self) -> list[str]:
        """What went wrong on the console."""
        return [line for line in self.said if line.startswith(("error", "thrown"))]


def decoded(data_url: str) -> NDArray[np.uint8]:
    import base64

    data = np.frombuffer(base64.b64decode(data_url.partition(",")[2]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)
