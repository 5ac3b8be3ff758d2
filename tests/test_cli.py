from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from avatar_client.pose_file import PoseReader
from media_files import portrait_frames, write_poses, write_video
from typer.main import get_command
from typer.testing import CliRunner

import avatar_sdk
from avatar_sdk.cli import app
from avatar_sdk.cli.options import parse_background, parse_framing, parse_neutral
from avatar_sdk.portrait import BackgroundKind

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
AVATAR = (sys.executable, "-m", "avatar_sdk.cli")


def run(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `avatar WORDS`."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_all_commands_are_there() -> None:
    assert COMMANDS == ["animate", "bench", "cameras", "doctor", "export", "models", "serve", "track", "webcam"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_the_command_and_shows_examples(command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    shown = out.partition("Examples:")[2]
    assert f"  avatar {command}" in shown


def test_the_version_is_the_packages() -> None:
    assert run("--version")[1].strip() == avatar_sdk.__version__


def test_animate_writes_video_sheet_and_report(sample_portrait: Path, tmp_path: Path) -> None:
    poses = write_poses(tmp_path / "d.poses", 12)
    out, sheet, report = (tmp_path / name for name in ("a.mp4", "a.png", "a.json"))
    words = ("animate", sample_portrait, poses, "-o", out, "--sheet", sheet, "--report", report)
    code, text, _ = run(*words, "--model", "warp", "--fps", "source", "--framing", "2.2", "--quality", "near-lossless")
    assert code == 0
    assert str(out) in text
    with av.open(str(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    saved = json.loads(report.read_text())
    assert saved["frames"] == 12
    assert len(saved["affine"]) == 2
    assert sheet.stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--framing", "wide"), "wide"),
        (("--framing", "99"), "99"),
        (("--neutral", "angry"), "angry"),
        (("--background", "nowhere.png"), "nowhere.png"),
        (("--smoothing", "maybe"), "maybe"),
        (("--quality", "best"), "best"),
        (("--quality", "77"), "77"),
        (("--fps", "fast"), "fast"),
        (("--model", "nowhere.onnx"), "nowhere.onnx"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(
    sample_portrait: Path, sample_poses: Path, tmp_path: Path, words: tuple[str, str], named: str
) -> None:
    code, _, err = run("animate", sample_portrait, sample_poses, "-o", tmp_path / "a.mp4", *words)
    assert code == 2
    assert named in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_file_is_one_line_and_verbose_shows_where_it_came_from(tmp_path: Path) -> None:
    words = (*AVATAR, "animate", "gone.png", "gone.mp4", "-o", str(tmp_path / "a.mp4"), "--model", "warp")
    quiet = subprocess.run(words, capture_output=True, text=True, check=False)
    assert quiet.returncode == 2
    assert "gone.mp4" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    loud = subprocess.run((*words, "--verbose"), capture_output=True, text=True, check=False)
    assert loud.returncode != 0
    assert "Traceback" in loud.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to another process there")
def test_ctrl_c_leaves_a_video_that_plays(sample_portrait: Path, sample_poses: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    words = (*AVATAR, "animate", str(sample_portrait), str(sample_poses), "-o", str(out), "--model", "warp")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    part = out.with_name("a.mp4.part")
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped early" in text
    with av.open(str(out)) as container:
        assert 0 < sum(1 for _ in container.decode(video=0)) < 288


def test_track_records_one_pose_per_frame(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", portrait_frames(8))
    code, text, _ = run("track", video, "-o", tmp_path / "v.poses")
    assert code == 0
    assert "8 poses, a face in 8" in text
    poses = PoseReader(tmp_path / "v.poses")
    assert len(poses) == 8
    assert poses.info.fps == 25


def test_track_refuses_a_video_without_a_face(tmp_path: Path) -> None:
    blank = [frame * 0 for frame in portrait_frames(3)]
    code, _, err = run("track", write_video(tmp_path / "v.mp4", blank), "-o", tmp_path / "v.poses")
    assert code == 2
    assert "no face" in err
    assert not (tmp_path / "v.poses").exists()


def test_cameras_says_what_there_is_or_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar_client import capture

    monkeypatch.setattr(capture, "list_cameras", list)
    assert "no camera found" in run("cameras")[1]
    monkeypatch.setattr(capture, "list_cameras", lambda: [capture.Camera(0, "Built-in")])
    assert run("cameras")[1] == "0: Built-in\n"


def test_an_exported_network_runs_and_a_missing_one_is_named(sample_portrait: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="exporting needs the train extra")
    code, _, err = run("export", tmp_path / "model")
    assert (code, "--preset" in err) == (2, True)
    assert "gone.safetensors" in run("export", tmp_path / "model", "--checkpoint", "gone.safetensors")[2]
    assert "'huge'" in run("export", tmp_path / "model", "--preset", "huge")[2]
    assert run("export", tmp_path / "model", "--preset", "test")[0] == 0
    words = ("animate", sample_portrait, write_poses(tmp_path / "d.poses", 3), "-o", tmp_path / "a.mp4")
    assert run(*words, "--model", tmp_path / "model")[0] == 0


def test_webcam_tells_what_is_missing_before_anything_starts(
    sample_portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avatar_client.capture import camera

    monkeypatch.setattr(camera, "list_cameras", list)
    code, _, err = run("webcam", "gone.png", "--no-window")
    assert (code, "gone.png" in err) == (2, True)
    code, _, err = run("webcam", sample_portrait, "--camera", "3", "--no-window")
    assert (code, "'3'" in err) == (2, True)
    code, _, err = run("webcam", sample_portrait, "--camera", "gone.mp4", "--no-window")
    assert (code, "gone.mp4" in err) == (2, True)


def test_words_become_settings() -> None:
    assert parse_framing("face") == 2.2
    assert parse_framing("2.5") == 2.5
    assert parse_neutral("17") == ("first", 17)
    assert parse_neutral("auto") == ("auto", None)
    assert parse_background("#20aa60").color_rgb == (0x20, 0xAA, 0x60)
    assert parse_background("blur").kind is BackgroundKind.BLUR
