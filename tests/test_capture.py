"""Cameras and video files give upright images with honest times, or an error that says what to do."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import cv2_enumerate_cameras
import numpy as np
import pytest
from avatar_client import capture
from avatar_client.capture import (
    Camera,
    CameraSource,
    CaptureConfig,
    PacedVideoSource,
    VideoSource,
    find_camera,
    mirrored,
    open_source,
)
from avatar_client.clock import monotonic_us
from avatar_client.errors import CameraError, InvalidVideoError
from numpy.typing import NDArray

WIDTH, HEIGHT, FRAMES = 64, 32, 5


def picture(index: int) -> NDArray[np.uint8]:
    """White on the left; its brightness tells the index."""
    image = np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8)
    image[:, : WIDTH // 4] = 255
    return image


def write_video(path: Path, times_ms: list[int] | None = None) -> Path:
    times_ms = times_ms or [40 * i for i in range(FRAMES)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for index, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts = time_ms
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def index_of(image: NDArray[np.uint8]) -> int:
    return round(float(image[HEIGHT // 2, WIDTH // 2].mean()) / 20)


def test_a_video_gives_every_frame_at_its_own_time(tmp_path: Path) -> None:
    times_ms = [0, 33, 80, 81, 200]
    with open_source(str(write_video(tmp_path / "clip.mp4", times_ms))) as source:
        shots = list(source)
    assert [index_of(image) for image, _ in shots] == [0, 1, 2, 3, 4]
    assert [round(time_us / 1000) for _, time_us in shots] == times_ms
    assert (source.width_px, source.height_px, source.name, source.live) == (WIDTH, HEIGHT, "clip.mp4", False)


def test_a_video_taken_with_a_turned_phone_stands_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    content = bytearray(path.read_bytes())
    matrix = content.find(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    with VideoSource(path) as source:
        image, _ = next(iter(source))
    assert (source.width_px, source.height_px) == (HEIGHT, WIDTH)
    assert image[: WIDTH // 8].min() > 200  # a quarter turn clockwise brings the left edge to the top
    assert image[WIDTH // 2 :].max() < 60


def test_a_looped_video_goes_on_in_time(tmp_path: Path) -> None:
    with VideoSource(write_video(tmp_path / "clip.mp4"), loop=True) as source:
        shots = [shot for shot, _ in zip(source, range(2 * FRAMES + 1), strict=False)]
    assert [index_of(image) for image, _ in shots] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]
    assert [round(time_us / 1000) for _, time_us in shots] == [40 * i for i in range(2 * FRAMES + 1)]


def test_a_paced_video_keeps_its_intervals_on_this_machines_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    before_us = monotonic_us()
    with open_source(str(path), CaptureConfig(realtime=True)) as source:
        times_us = [time_us for _, time_us in source]
    assert isinstance(source, PacedVideoSource)
    assert source.live
    assert before_us <= times_us[0] <= monotonic_us()
    assert all((later - times_us[0]) % 40_000 == 0 for later in times_us)
    assert len(times_us) + source.dropped == FRAMES


def test_a_reader_that_comes_late_gets_the_newest_frame(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "clip.mp4")), CaptureConfig(realtime=True)) as source:
        assert isinstance(source, PacedVideoSource)
        source._thread.join()
        shots = list(source)
    assert [index_of(image) for image, _ in shots] == [FRAMES - 1]
    assert source.dropped == FRAMES - 1


def audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))


@pytest.mark.parametrize("content", [b"", b"not a video" * 99], ids=["empty", "text"])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(InvalidVideoError, match=r"clip.mp4 cannot be read as a video: Invalid data"):
        open_source(str(tmp_path / "clip.mp4"))


def test_a_broken_off_video_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InvalidVideoError, match=r"clip.mp4 cannot be read"):
        open_source(str(path))


def test_damage_in_the_middle_comes_after_the_frames_before_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        position = packets[3].pos
        assert position is not None
    content[position : position + 20] = b"\xff" * 20
    path.write_bytes(content)
    seen: list[int] = []
    with pytest.raises(InvalidVideoError, match=r"damaged after frame 3 at 0\.08 s"), VideoSource(path) as source:
        seen.extend(index_of(image) for image, _ in source)
    assert seen == [0, 1, 2]


def test_a_missing_file_and_a_sound_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidVideoError, match=r"gone.mp4 cannot be read as a video: No such file"):
        open_source(str(tmp_path / "gone.mp4"))
    audio_only(tmp_path / "voice.wav")
    with pytest.raises(InvalidVideoError, match=r"voice.wav has no video stream"):
        open_source(str(tmp_path / "voice.wav"))


@pytest.fixture
def two_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [
        cv2_enumerate_cameras.CameraInfo(2, "Logi Brio", "/dev/video2", None, None, cv2.CAP_V4L2),
        cv2_enumerate_cameras.CameraInfo(0, "Integrated Camera", "/dev/video0", None, None, cv2.CAP_V4L2),
    ]
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda backend: infos)


@pytest.mark.usefixtures("two_cameras")
def test_a_camera_is_found_by_number_or_part_of_its_name() -> None:
    assert [camera.name for camera in capture.list_cameras()] == ["Integrated Camera", "Logi Brio"]
    assert find_camera("2") == find_camera("brio") == Camera(2, "Logi Brio", "/dev/video2")


@pytest.mark.usefixtures("two_cameras")
def test_a_missing_camera_is_answered_with_those_that_exist() -> None:
    with pytest.raises(CameraError, match="no camera matches '7'; there are 0: Integrated Camera, 2: Logi Brio"):
        open_source("7")
    with pytest.raises(CameraError, match="several cameras match 'i': 0: Integrated Camera, 2: Logi Brio"):
        find_camera("i")


def test_a_machine_without_cameras_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda backend: [])
    with pytest.raises(CameraError, match=r"this machine shows none: .* a video file can stand in"):
        open_source("0")


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar_client.capture.camera._SILENCE_S", 0.05)


def test_a_camera_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(CameraError, match=r"camera 0 \(Front\) cannot be opened: .*close other programs"):
        CameraSource(Camera(0, "Front"), open_device=lambda _: cv2.VideoCapture())


class Device:
    """A `cv2.VideoCapture` whose images come from an iterator; at its end it stays silent."""

    def __init__(self, images: Iterator[NDArray[np.uint8]]) -> None:
        self.images, self.released = images, False
        self.settings: dict[int, float] = {}

    def isOpened(self) -> bool:  # noqa: N802
        return not self.released

    def grab(self) -> bool:
        self.image = next(self.images, None)
        return self.image is not None

    def retrieve(self) -> tuple[bool, Any]:
        return True, self.image

    def set(self, key: int, value: float) -> bool:
        self.settings[key] = value
        return True

    def get(self, key: int) -> float:
        return self.settings.get(key, 0.0)

    def release(self) -> None:
        self.released = True


@pytest.mark.usefixtures("short_silence")
def test_a_camera_taken_by_another_program_is_silent_and_freed() -> None:
    device = Device(iter([]))
    with pytest.raises(CameraError, match=r"camera 0 \(Front\) gives? no image.*close other programs"):
        CameraSource(Camera(0, "Front"), open_device=lambda _: device)
    assert device.released


@pytest.mark.usefixtures("short_silence")
def test_an_unplugged_camera_ends_with_an_error_after_its_last_image() -> None:
    blue_bgr = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    blue_bgr[..., 0] = 255
    device = Device(iter([blue_bgr]))
    with CameraSource(Camera(0, "Front"), CaptureConfig(width_px=640, fps=30), lambda _: device) as source:
        shots = iter(source)
        image, _ = next(shots)
        with pytest.raises(CameraError, match="gives no images"):
            next(shots)
    assert image[0, 0].tolist() == [0, 0, 255]
    assert (source.width_px, source.height_px, source.fps) == (WIDTH, HEIGHT, 30)
    assert device.settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert device.settings[cv2.CAP_PROP_FRAME_WIDTH] == 640


def test_mirroring_is_for_display_and_leaves_the_image_alone() -> None:
    image = picture(1)
    shown = mirrored(image)
    assert shown[0, -1, 0] == 255
    assert image[0, 0, 0] == 255
