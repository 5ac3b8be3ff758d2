"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
