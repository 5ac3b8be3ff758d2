from __future__ import annotations

from pathlib import Path

import av
import pytest
from media_files import write_poses

from avatar_sdk.demo import run_demo


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
