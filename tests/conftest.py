"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from browser import PageServer

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "avatar_sdk/assets"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real portraits/ and driving/ clips, which never enter the repository."""
    folder = Path(os.environ.get("AVATAR_TEST_MEDIA", ROOT.parent / "shared/media"))
    if not folder.is_dir():
        pytest.skip(f"needs real portraits and clips, and {folder} is absent; set AVATAR_TEST_MEDIA")
    return folder


@pytest.fixture(scope="session")
def sample_portrait() -> Path:
    """A painted face that MediaPipe finds."""
    return ASSETS / "sample_portrait.png"


@pytest.fixture(scope="session")
def sample_poses() -> Path:
    """Twelve seconds of a driver's poses."""
    return ASSETS / "sample.poses"


@pytest.fixture(scope="session")
def page_server() -> Iterator[PageServer]:
    """The service with its page, cheap and small."""
    from browser import PageServer, find_chromium

    find_chromium()
    server = PageServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's film that needs no media: the painted portrait moved by the sample driver, then an empty wall."""
    from films import EMPTY_FRAMES, driver_frames, write_film

    return write_film(tmp_path_factory.mktemp("film") / "driver.mjpeg", driver_frames(), EMPTY_FRAMES)
