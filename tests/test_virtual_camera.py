"""The avatar as a camera for other apps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import avatar_client
import numpy as np
import pytest
from avatar_client.errors import CameraError, InvalidConfigError, MissingDependencyError
from media_files import portrait_frames, write_video

pytest.importorskip("pyvirtualcam", reason="needs the extra [virtualcam]")

from loopback_camera import LoopbackCamera, loopback
from obs_peer import obs

from avatar_sdk.local_server import LocalServer, LocalServerConfig
from avatar_sdk.virtual_camera import ObsConfig, ObsSync, VirtualCamera, VirtualCameraConfig, check_device, device
from avatar_sdk.webcam import Webcam, WebcamConfig
from avatar_sdk.webcam.outlet import Outlet

__all__ = ["loopback"]

RED = np.full((512, 512, 3), (200, 0, 0), np.uint8)


def wait_for(condition: Callable[[], object]) -> None:
    """The test's own time limit is the only one."""
    while not condition():
        time.sleep(0.005)


def test_a_frame_reaches_the_device_as_it_is(loopback: list[LoopbackCamera]) -> None:
    frame = portrait_frames(1, 512)[0]
    with VirtualCamera(VirtualCameraConfig("loop7")) as camera:
        assert camera.device == "loop7"
        camera.send(frame)
        wait_for(lambda: loopback[0].frames)
    assert np.array_equal(loopback[0].frames[0], frame)
    assert loopback[0].closed


def test_a_wide_picture_shows_the_whole_avatar_in_its_middle(loopback: list[LoopbackCamera]) -> None:
    with VirtualCamera(VirtualCameraConfig(width_px=1280, height_px=720)) as camera:
        camera.send(RED)
        wait_for(lambda: loopback[0].frames)
    picture = loopback[0].frames[0]
    assert picture.shape == (720, 1280, 3)
    assert (picture[:, 280:1000] == RED[0, 0]).all()
    assert not picture[:, :280].any()
    assert not picture[:, 1000:].any()


def test_the_newest_frame_wins_and_nothing_waits_in_a_row(loopback: list[LoopbackCamera]) -> None:
    left: list[int] = []
    with VirtualCamera(on_sent=left.append) as camera:
        for k in range(500):
            camera.send(RED, k)
        wait_for(lambda: left and left[-1] == 499)
        assert camera.sent + camera.dropped == 500
    assert left == sorted(left)


def test_a_camera_without_news_is_kept_alive(loopback: list[LoopbackCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar_sdk.virtual_camera import camera as module

    monkeypatch.setattr(module, "REPEAT_S", 0.01)
    with VirtualCamera() as camera:
        camera.send(RED)
        wait_for(lambda: len(loopback[0].frames) > 3)
        assert camera.sent == 1


def test_a_device_that_fails_midway_is_named(loopback: list[LoopbackCamera]) -> None:
    with VirtualCamera() as camera:
        loopback[0].broken = True

        def send() -> None:
            while True:
                camera.send(RED)
                time.sleep(0.005)

        with pytest.raises(CameraError, match=r"loop0 failed .*unplugged"):
            send()
    assert loopback[0].closed


@pytest.mark.parametrize(
    ("system", "fix"),
    [
        ("Linux", "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=Avatar"),
        ("Windows", "Start Virtual Camera once"),
        ("Darwin", "camera extension"),
    ],
)
@pytest.mark.usefixtures("loopback")
def test_without_a_device_the_exact_fix_is_named(monkeypatch: pytest.MonkeyPatch, system: str, fix: str) -> None:
    monkeypatch.setattr(device.platform, "system", lambda: system)
    with pytest.raises(CameraError, match=fix) as told:
        check_device("/dev/video77")
    assert "/dev/video77" in told.value.message


def test_secure_boot_is_mentioned_where_it_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = tmp_path / "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    monkeypatch.setattr(device.platform, "system", lambda: "Linux")
    for value, on in ((b"\x06\0\0\0\1", True), (b"\x06\0\0\0\0", False)):
        variable.write_bytes(value)
        assert device.secure_boot(tmp_path) is on
    monkeypatch.setattr(device, "secure_boot", lambda: True)
    assert "mokutil --import" in device.explained(None, "no device")


def test_without_pyvirtualcam_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyvirtualcam", None)
    with pytest.raises(MissingDependencyError, match=r"avatar-sdk\[virtualcam\]"):
        check_device()


def test_an_impossible_size_is_named() -> None:
    with pytest.raises(InvalidConfigError, match="width_px is 641"):
        VirtualCameraConfig(width_px=641)


def test_a_live_avatar_feeds_the_camera_and_tells_obs_how_late_it_is(
    loopback: list[LoopbackCamera], sample_portrait: Path, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "me.mp4", portrait_frames(75))
    said: list[str] = []
    with (
        obs() as peer,
        LocalServer(LocalServerConfig(model="warp")) as server,
        avatar_client.connect(server.target) as client,
        client.session(sample_portrait, consent=True) as session,
        Outlet(VirtualCameraConfig("loop1"), ObsSync(ObsConfig("Mic/Aux", "127.0.0.1", peer.port))) as outlet,
    ):
        config = WebcamConfig((sample_portrait,), str(video), window=False)
        report = Webcam(session, config, said.append, outlet).run()
        assert len(loopback[0].frames) > 5
        assert report.delay_ms is not None
        assert 0 < report.delay_ms < 5000
        wait_for(lambda: peer.set_ms)
    assert peer.set_ms[0] > 0
    assert peer.offsets_ms["Mic/Aux"] == 0, "the old offset is back"
    assert f"delay_ms {report.delay_ms:.0f} for the microphone" in str(report)
