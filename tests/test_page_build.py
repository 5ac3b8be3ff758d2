"""What is committed of the page is what its sources build, is small, and asks nobody else for anything."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from avatar_client.pose_file import PoseReader

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "page"
BUILT = ROOT / "avatar_sdk/server/web/page"
VITE = ROOT / "node_modules/.bin/vite"
LARGEST_BYTES = 1_000_000

needs_npm = pytest.mark.skipif(
    shutil.which("node") is None or not VITE.exists(),
    reason="THE PAGE'S BUILD IS NOT CHECKED: it needs Node 20.19 or newer, and `npm ci`",
)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_npm
def test_the_committed_page_is_what_its_sources_build(tmp_path: Path) -> None:
    build = [VITE, "build", "--outDir", str(tmp_path / "page"), "--emptyOutDir", "--logLevel", "error"]
    done = subprocess.run(build, cwd=PAGE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    anew, committed = files(tmp_path / "page"), files(BUILT)
    assert sorted(anew) == sorted(committed), "run `make page` and commit what it builds"
    assert [name for name in anew if anew[name] != committed[name]] == [], "run `make page` and commit what it builds"


@needs_npm
def test_its_types_and_its_own_tests_pass() -> None:
    for command in (["tsc", "--noEmit"], ["vitest", "run"]):
        tool = ROOT / "node_modules/.bin" / command[0]
        done = subprocess.run([tool, *command[1:]], cwd=PAGE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_small_and_names_no_other_host() -> None:
    built = files(BUILT)
    assert sum(map(len, built.values())) < LARGEST_BYTES
    texts = {name: data.decode() for name, data in built.items() if name.endswith((".html", ".js", ".css", ".svg"))}
    loads = re.compile(r"""(?:src|href|url\(|import|fetch)\s*[=(]?\s*["'(]?\s*(https?:)?//""")
    assert [name for name, text in texts.items() if loads.search(text)] == []
    assert all("<style" not in text and "style=" not in text for name, text in texts.items() if name.endswith(".html"))


def test_the_demo_drive_is_the_sample_driver(sample_poses: Path) -> None:
    data = (BUILT / "demo_poses.bin").read_bytes()
    assert data[:6] == b"AVDEMO"
    version, count, components, fps = struct.unpack_from("<HHHf", data, 6)
    poses = PoseReader(sample_poses)
    assert (version, count, fps) == (1, len(poses), poses.info.fps)
    floats = np.frombuffer(data, "<f4", 1434 + 2 * components, 16)
    mean, basis_scales, weight_scales = np.split(floats, (1434, 1434 + components))
    whole = np.frombuffer(data, "<i2", offset=16 + floats.nbytes)
    basis = whole[: 1434 * components].reshape(components, 1434) * basis_scales[:, None]
    weights = whole[1434 * components :].reshape(count, components) * weight_scales
    faces = np.stack([pose.face.reshape(-1) for pose in poses])
    error = np.abs(mean + weights @ basis - faces)
    assert error.max() < 0.0015
    assert error.mean() < 0.0002


def test_the_sample_portrait_is_the_painted_one(sample_portrait: Path) -> None:
    shown = cv2.imread(str(BUILT / "sample_portrait.webp"))
    assert cv2.PSNR(shown, cv2.imread(str(sample_portrait))) > 34


def test_the_tracker_is_the_version_that_was_tried() -> None:
    """The worker stands in for what this version's code asks for; another one needs another look."""
    manifest = json.loads((PAGE / "package.json").read_text())
    assert manifest["dependencies"]["@mediapipe/face_mesh"] == "0.4.1657299874"
