from __future__ import annotations

import json
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, InvalidPortraitError, InvalidVideoError
from avatar_client.pose import Pose
from avatar_client.pose_file import PoseFileInfo, PoseReader, PoseWriter
from media_files import portrait_frames, write_poses, write_video

from avatar_sdk.animate import AnimateConfig, Rendering, Report
from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.portrait import PortraitConfig, load_portrait

SMALL = PortraitConfig(width_px=128, height_px=128)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talking video: 25 fps, 20 frames, with sound."""
    return write_video(tmp_path_factory.mktemp("driver") / "driver.mp4", portrait_frames(20), sound="aac")


def render(engine: Engine, portrait: Path, driver: Path, output: Path, config: AnimateConfig) -> Report:
    return Rendering(engine, portrait, driver, config).write(output)


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_source_rate_gives_exactly_one_frame_per_driver_frame(
    engine: Engine, sample_portrait: Path, driver: Path, tmp_path: Path
) -> None:
    report = render(engine, sample_portrait, driver, tmp_path / "a.mp4", AnimateConfig(fps=None, portrait=SMALL))
    assert len(frames(tmp_path / "a.mp4")) == report.frames == report.driver_frames == 20
    assert (report.dropped_frames, report.repeated_frames, report.fps) == (0, 0, 25.0)


def test_a_video_driver_gives_24_fps_and_keeps_its_sound(
    engine: Engine, sample_portrait: Path, driver: Path, tmp_path: Path
) -> None:
    report = render(engine, sample_portrait, driver, tmp_path / "a.mp4", AnimateConfig(portrait=SMALL))
    assert report.frames == pytest.approx(20 / 25 * 24, abs=1)
    assert {"track", "motion", "warp", "generator", "decode", "composite", "encode"} <= set(report.timings_ms)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.audio
        assert float(container.streams.video[0].average_rate) == pytest.approx(24, abs=0.01)


def test_offline_frames_are_those_of_the_step(engine: Engine, sample_portrait: Path, tmp_path: Path) -> None:
    poses = write_poses(tmp_path / "d.poses", 6)
    config = AnimateConfig(fps=None, portrait=SMALL, crf=0, badge=False)
    render(engine, sample_portrait, poses, tmp_path / "a.mp4", config)
    avatar = engine.open(load_portrait(sample_portrait, SMALL), config.motion)
    stepped = [engine.step(avatar, pose, pose.timestamp_us).image for pose in PoseReader(poses)]
    engine.close(avatar)
    errors = np.abs(np.float32(frames(tmp_path / "a.mp4")) - np.float32(stepped)).mean((1, 2, 3))
    assert (errors < 2.5).all()


def test_the_report_maps_portrait_pixels_to_output_pixels(
    engine: Engine, sample_portrait: Path, tmp_path: Path
) -> None:
    poses = write_poses(tmp_path / "d.poses", 3)
    report = render(engine, sample_portrait, poses, tmp_path / "a.mp4", AnimateConfig(portrait=SMALL))
    report.save(tmp_path / "r.json")
    saved = json.loads((tmp_path / "r.json").read_text())
    expected = load_portrait(sample_portrait, SMALL).affine
    assert np.array(saved["affine"]) == pytest.approx(expected, rel=1e-6)
    assert saved["timings_ms"]["warp"]["p95"] >= saved["timings_ms"]["warp"]["median"] > 0


def test_stopping_early_leaves_a_complete_video(engine: Engine, sample_portrait: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    rendering = Rendering(engine, sample_portrait, write_poses(tmp_path / "d.poses", 40), AnimateConfig(portrait=SMALL))
    report = rendering.write(tmp_path / "a.mp4", on_frame=lambda done: stop.set() if done == 7 else None, stop=stop)
    assert report.interrupted
    assert len(frames(tmp_path / "a.mp4")) == report.frames == 7


def test_a_lost_face_does_not_end_the_video(engine: Engine, sample_portrait: Path, tmp_path: Path) -> None:
    recorded = PoseReader(write_poses(tmp_path / "d.poses", 20))
    with PoseWriter(tmp_path / "gap.poses", recorded.info) as writer:
        for i, pose in enumerate(recorded):
            writer.write(pose if i < 5 else Pose.absent(pose.timestamp_us))
    report = render(engine, sample_portrait, tmp_path / "gap.poses", tmp_path / "a.mp4", AnimateConfig(portrait=SMALL))
    assert report.frames == pytest.approx(20 / 25 * 24, abs=1)
    assert report.driver_frames_without_face == 15


def test_a_driver_without_any_face_is_an_error_and_leaves_no_video(
    engine: Engine, sample_portrait: Path, tmp_path: Path
) -> None:
    with PoseWriter(tmp_path / "d.poses", PoseFileInfo(fps=25)) as writer:
        for i in range(5):
            writer.write(Pose.absent(i * 40_000))
    with pytest.raises(InvalidVideoError, match="no face"):
        render(engine, sample_portrait, tmp_path / "d.poses", tmp_path / "a.mp4", AnimateConfig(portrait=SMALL))
    assert not list(tmp_path.glob("a.mp4*"))


def test_side_by_side_shows_the_driver_at_the_left(
    engine: Engine, sample_portrait: Path, driver: Path, tmp_path: Path
) -> None:
    config = AnimateConfig(fps=None, portrait=SMALL, side_by_side=True, badge=False)
    render(engine, sample_portrait, driver, tmp_path / "a.mp4", config)
    shown = frames(tmp_path / "a.mp4")[3]
    assert shown.shape == (128, 256, 3)
    seen = portrait_frames(4, 128)[3]
    assert np.abs(np.float32(shown[:, :128]) - seen).mean() < 12


def test_a_neutral_frame_without_a_face_or_beyond_the_end_is_named(
    engine: Engine, sample_portrait: Path, tmp_path: Path
) -> None:
    poses = write_poses(tmp_path / "d.poses", 3)
    with pytest.raises(InvalidVideoError, match="0 to 2, but not 99"):
        Rendering(engine, sample_portrait, poses, AnimateConfig(neutral_frame=99))


def test_the_neutral_frame_moves_the_avatar_like_the_portrait_there(
    engine: Engine, sample_portrait: Path, tmp_path: Path
) -> None:
    poses = write_poses(tmp_path / "d.poses", 2, start=150)
    rendering = Rendering(engine, sample_portrait, poses, AnimateConfig(fps=None, portrait=SMALL, neutral_frame=0))
    rendering.write(tmp_path / "a.mp4")
    still = rendering.portrait.image
    assert np.abs(np.float32(frames(tmp_path / "a.mp4")[0]) - still).mean() < 6


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x89POSES\r\n"])
def test_an_unreadable_driver_is_named(engine: Engine, sample_portrait: Path, tmp_path: Path, content: bytes) -> None:
    for name in ("bad.mp4", "bad.poses"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidVideoError, match="bad"):
            Rendering(engine, sample_portrait, tmp_path / name)


def test_missing_files_are_named(engine: Engine, sample_portrait: Path, tmp_path: Path) -> None:
    poses = write_poses(tmp_path / "d.poses", 2)
    with pytest.raises(InvalidVideoError, match=r"gone\.mp4"):
        Rendering(engine, sample_portrait, tmp_path / "gone.mp4")
    with pytest.raises(InvalidPortraitError, match=r"gone\.png"):
        Rendering(engine, tmp_path / "gone.png", poses)
    rendering = Rendering(engine, sample_portrait, poses, AnimateConfig(portrait=SMALL))
    with pytest.raises(InvalidVideoError, match="nowhere"):
        rendering.write(tmp_path / "nowhere/a.mp4")
    assert engine.free_slots == 1


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidConfigError):
        AnimateConfig(fps=0)
