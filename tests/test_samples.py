from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from media_files import portrait_frames, write_poses, write_video

from avatar_sdk.local_server import LocalServer, LocalServerConfig

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A service of its own process."""
    with LocalServer(LocalServerConfig(model="warp")) as server:
        yield server.target


def run(sample: str, *words: object) -> str:
    """What a sample prints."""
    command = [sys.executable, str(SAMPLES / sample), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_every_sample_is_run_here() -> None:
    tested = {"animate_file.py", "minimal_client.py", "save_video.py", "webcam.py"}
    assert {path.name for path in SAMPLES.glob("*.py")} == tested


def test_minimal_client_is_minimal_and_prints_frames(target: str, sample_portrait: Path, tmp_path: Path) -> None:
    assert len((SAMPLES / "minimal_client.py").read_text().splitlines()) <= 25
    lines = run("minimal_client.py", target, sample_portrait, write_poses(tmp_path / "d.poses", 6)).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("frame 1 shows pose 1: (512, 512, 3)")


def test_save_video_writes_the_poses(target: str, sample_portrait: Path, tmp_path: Path) -> None:
    run("save_video.py", target, sample_portrait, write_poses(tmp_path / "d.poses", 12), tmp_path / "a.mp4")
    assert 10 <= frames(tmp_path / "a.mp4") <= 12


def test_webcam_takes_a_video_for_a_camera(target: str, sample_portrait: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "me.mp4", portrait_frames(40))
    out = run("webcam.py", target, sample_portrait, video, "--no-window")
    assert "frames shown, camera → display" in out


def test_animate_file_writes_a_video(sample_portrait: Path, tmp_path: Path) -> None:
    run("animate_file.py", sample_portrait, write_poses(tmp_path / "d.poses", 12), tmp_path / "a.mp4", "warp")
    assert frames(tmp_path / "a.mp4") == pytest.approx(12 / 25 * 24, abs=1)
