from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import av
import pytest
from media_files import write_poses

from avatar_sdk.demo import run_demo
from avatar_sdk.local_server import LocalServer


def test_the_demo_writes_24_fps_video_and_sheet_and_prints_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_demo(tmp_path / "out", write_poses(tmp_path / "d.poses", 50), model="warp")
    with av.open(str(tmp_path / "out/avatar.mp4")) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        assert (stream.width, stream.height) == (512, 512)
        assert float(stream.average_rate) == pytest.approx(24, abs=0.1)
    assert 24 < frames <= 60
    assert (tmp_path / "out/avatar.png").stat().st_size > 0
    out = capsys.readouterr().out
    assert "generated frames in" in out
    assert "pose → frame in the server" in out
    assert re.search(r"page on http://127\.0\.0\.1:\d+/", out)
    assert "`avatar serve`, then http://127.0.0.1:8080/" in out


def test_on_a_terminal_the_page_stays_until_it_is_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[bytes] = []

    def wait(server: LocalServer) -> None:
        with urllib.request.urlopen(server.page) as page:
            pages.append(page.read())
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalServer, "wait", wait)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    run_demo(tmp_path / "out", write_poses(tmp_path / "d.poses", 30), model="warp")
    assert b"<html" in pages[0]
    assert "Ctrl-C ends the service" in capsys.readouterr().out
