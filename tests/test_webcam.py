from __future__ import annotations

from pathlib import Path

import av
import avatar_client
import numpy as np
import pytest
from avatar_client.errors import CameraError, InvalidVideoError, MissingDependencyError
from avatar_client.events import EventKind, SessionEvent
from media_files import portrait_frames, write_video

from avatar_sdk.local_server import LocalServer, LocalServerConfig
from avatar_sdk.webcam import Webcam, WebcamConfig, check_camera, told
from avatar_sdk.webcam.recorder import WAITING, Recorder
from avatar_sdk.webcam.window import HELP, Key, Window, overlay


def test_a_video_file_drives_a_live_avatar_and_is_recorded(sample_portrait: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "me.mp4", portrait_frames(75))
    config = WebcamConfig((sample_portrait,), str(video), window=False, record=tmp_path / "a.mp4")
    said: list[str] = []
    with (
        LocalServer(LocalServerConfig(model="warp")) as server,
        avatar_client.connect(server.target) as client,
        client.session(sample_portrait, consent=True) as session,
    ):
        report = Webcam(session, config, said.append).run()
    assert report.fps > 0
    assert report.camera_to_display_ms is not None
    assert any("fps" in line for line in said)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert "Generated" in container.metadata["comment"]
        assert sum(1 for _ in container.decode(video=0)) > 10


def test_a_camera_that_is_not_there_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar_client.capture import camera

    monkeypatch.setattr(camera, "list_cameras", list)
    with pytest.raises(CameraError, match="'7'"):
        check_camera("7")


@pytest.mark.skipif("sys.platform != 'linux'", reason="elsewhere there always is a display")
def test_without_a_display_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MissingDependencyError, match="--no-window"):
        Window()


def test_the_overlay_shows_figures_and_driver_and_leaves_the_frame_alone() -> None:
    frame = np.full((256, 256, 3), 100, np.uint8)
    view = overlay(frame, ["24.0 fps"], np.full((48, 64, 3), 200, np.uint8))
    assert (frame == 100).all()
    assert (view[:40, :120] > 200).any()
    assert (view[-20, -20] == 200).all()


def test_every_key_is_explained() -> None:
    assert all(f"{key.value} " in HELP for key in Key)
    assert len({key.value for key in Key}) == len(Key)


def test_people_are_told_what_matters() -> None:
    assert told(SessionEvent(EventKind.STATE_CHANGED, "ready")) is None
    assert told(SessionEvent(EventKind.FACE_LOST)) == "face lost"


def test_a_recorder_never_holds_the_picture_up(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    image = portrait_frames(1)[0]
    count = 10 * WAITING
    for k in range(count):
        recorder.add(image, k * 41_667)
    recorder.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) + recorder.dropped == count


def test_a_recording_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidVideoError, match="nowhere"):
        Recorder(tmp_path / "nowhere/a.mp4")


def test_a_recorder_that_saw_nothing_leaves_no_file(tmp_path: Path) -> None:
    Recorder(tmp_path / "a.mp4").close()
    assert not list(tmp_path.iterdir())
