"""A trained large generator behind the engine and the service: one pose in, one frame out, four steps later."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, MissingDependencyError, NoCapacityError
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the runtime needs torch; install the extra `train` or `gpu`")

from avatar_client._gen import avatar_pb2 as pb  # noqa: E402
from media_files import portrait_frames, write_video  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from service import POSES, SIZE_PX, photo, serving  # noqa: E402
from video_models import CODECS, GENERATOR, codec_of, generator_of, save_part  # noqa: E402

from avatar_sdk.animate import AnimateConfig, Rendering  # noqa: E402
from avatar_sdk.engine import Engine, EngineConfig  # noqa: E402
from avatar_sdk.model.checkpoint import GENERATOR_STAGES  # noqa: E402
from avatar_sdk.model.video.config import StemConfig  # noqa: E402
from avatar_sdk.model.video_presets import Resolution, VideoPreset  # noqa: E402
from avatar_sdk.motion import Retargeter  # noqa: E402
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait  # noqa: E402
from avatar_sdk.runtime.guide import at_rest  # noqa: E402
from avatar_sdk.runtime.torch.video import runtime as video_runtime  # noqa: E402
from avatar_sdk.runtime.torch.video.config import VideoConfig  # noqa: E402
from avatar_sdk.runtime.torch.video.runtime import VideoRuntime  # noqa: E402
from avatar_sdk.runtime.torch.video.source import Pictured, Source  # noqa: E402
from avatar_sdk.runtime.torch.video.stream import VideoStream  # noqa: E402
from avatar_sdk.runtime.torch.video.text import read_text  # noqa: E402
from avatar_sdk.runtime.torch.video.warp import DeviceWarp  # noqa: E402
from avatar_sdk.warp import Warp  # noqa: E402
from avatar_sdk.warp.frame import WarpedFrame  # noqa: E402
from avatar_sdk.warp.picture import maps_on_picture  # noqa: E402

STEP_US = 41_667
DELAY = 4
READS_MAPS = replace(CODECS["light"], stem=StemConfig(frame_channels=11, widths=(8, 8)))
TRAINED = {"stages": GENERATOR_STAGES, "preset": "wan-1.3b"}
FLOAT = VideoConfig(precision="float32")
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves."""
    folder = tmp_path_factory.mktemp("run")
    save_part(folder / "model.safetensors", generator_of(GENERATOR), "generator", **TRAINED)
    save_part(folder / "codec.safetensors", codec_of(READS_MAPS), "codec", stages=GENERATOR_STAGES)
    text = torch.randn(3, GENERATOR.text_dim, generator=torch.Generator().manual_seed(2))
    save_file({"text": text}, folder / "text.safetensors", metadata={"format": "avatar-sdk text 1"})
    return folder


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return load_portrait(photo(), PortraitConfig(width_px=SIZE_PX, height_px=SIZE_PX))


@pytest.fixture(scope="module")
def engine(run: Path) -> Engine:
    return Engine.load(EngineConfig(model=f"torch:{run}", slots=2))


def planes(frame: WarpedFrame) -> Pixels:
    return np.concatenate([frame.image, np.moveaxis(maps_on_picture(frame), 0, -1)], -1)


def streamed(run: Path, source: Source | None, portrait: Pixels | Portrait, steps: list[Pictured]) -> list[Pixels]:
    """What a stream shows of a portrait and of the steps after it."""
    size = Resolution(SIZE_PX, SIZE_PX)
    config = VideoPreset(GENERATOR).at(size)
    stream = VideoStream(generator_of(config), codec_of(READS_MAPS), size, FLOAT, source=source)
    stream.begin(portrait, read_text(run / "text.safetensors", config), seed=7)
    frames = [frame.copy() for pictured in steps for frame in stream.advance(pictured)]
    return [*[frames[0]] * (DELAY - 1), *frames]


def test_pictures_are_those_of_the_stream_that_reads_the_warped_frames_and_maps(
    engine: Engine, run: Path, portrait: Portrait
) -> None:
    """Bit by bit if it warps on the device, and nearly so if the CPU has warped for it."""
    avatar = engine.open(portrait, seed=7)
    poses = POSES[::7][:13]
    pictures = [engine.step(avatar, pose, k * STEP_US) for k, pose in enumerate(poses)]
    engine.close(avatar)

    retargeter, warp = Retargeter(portrait.landmarks), Warp(portrait)
    state = retargeter.start()
    motions = [retargeter.step(state, pose, k * STEP_US) for k, pose in enumerate(poses[:12])]
    latents = [[at_rest(portrait)], *(motions[k : k + DELAY] for k in range(0, 12, DELAY))]
    on_cpu = [np.stack([planes(warp.step(motion)) for motion in latent]) for latent in latents]
    on_device = DeviceWarp(Resolution(SIZE_PX, SIZE_PX), planes(warp.step(motions[0])).shape[-1], "cpu")
    expected = streamed(run, on_device, portrait, [*latents])
    nearly = streamed(run, None, on_cpu[0][0], [*on_cpu])
    for k, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture.image, expected[k], err_msg=str(k))
        assert np.abs(picture.image.astype(int) - nearly[k]).mean() < 0.5, k
        assert set(picture.timings_us) == {"motion", "warp", "generator", "decode", "composite"}
        if k >= DELAY:
            np.testing.assert_array_equal(picture.motion.landmarks, motions[k - DELAY].landmarks)
    unmoved = streamed(run, on_device, portrait, [latents[0], *3 * [DELAY * latents[0]]])
    off, moved = (
        np.abs(np.stack(expected[-DELAY:]).astype(int) - np.stack(others[-DELAY:])).mean()
        for others in (nearly, unmoved)
    )
    assert off < 0.6 * moved


def test_two_sessions_share_weights_and_nothing_else_and_streams_are_used_again(
    engine: Engine, portrait: Portrait
) -> None:
    def shown(others: bool) -> list[Pixels]:
        avatar = engine.open(portrait, seed=1)
        other = engine.open(portrait, seed=2) if others else None
        images = []
        for k in range(9):
            if other is not None:
                engine.step(other, POSES[3 * k], k * STEP_US)
            images.append(engine.step(avatar, POSES[k], k * STEP_US).image)
        for opened in (avatar, other):
            if opened is not None:
                engine.close(opened)
        return images

    for alone, beside in zip(shown(False), shown(True), strict=True):
        np.testing.assert_array_equal(alone, beside)
    assert len(engine.runtime._idle) == 2  # type: ignore[attr-defined]


def test_a_new_portrait_begins_anew(engine: Engine, portrait: Portrait) -> None:
    avatar = engine.open(portrait, seed=3)
    for k in range(6):
        engine.step(avatar, POSES[k], k * STEP_US)
    before = avatar.runtime.still
    engine.replace_portrait(avatar, load_portrait(photo(300), PortraitConfig(width_px=SIZE_PX, height_px=SIZE_PX)))
    again = [engine.step(avatar, POSES[k], (6 + k) * STEP_US) for k in range(7)]
    still = avatar.runtime.still
    assert not np.array_equal(still, before)
    assert all(np.array_equal(picture.image, still) for picture in again[:DELAY])
    assert not any(np.array_equal(picture.image, still) for picture in again[DELAY:])
    engine.close(avatar)
    other = load_portrait(photo(), PortraitConfig(width_px=64, height_px=64))
    avatar = engine.open(portrait)
    with pytest.raises(InvalidConfigError, match="the portrait is 64×64, the session's frames are 128×128"):
        engine.replace_portrait(avatar, other)
    engine.close(avatar)


async def test_frames_echo_the_pose_that_they_show(engine: Engine) -> None:
    async with serving(engine) as (_, client):
        created = await client.create(config=pb.SessionConfig(neutral=pb.NEUTRAL_MODE_FIRST))
        stream = await client.open(created)
        driver = asyncio.create_task(stream.send_poses(30, interval_s=0.06))
        frames = [await stream.until("frame") for _ in range(4)]
        await driver
    assert frames[0].pose_seq == 1
    seqs = [frame.pose_seq for frame in frames]
    assert seqs == sorted(seqs)
    waited = [frame.timings.pose_to_frame_us for frame in frames if frame.timings.pose_to_frame_us]
    assert waited
    # Four more steps had begun before one could be drawn.
    assert min(waited) > 3 * STEP_US


def test_a_film_has_a_frame_for_every_frame_of_its_driver(
    engine: Engine, sample_portrait: Path, tmp_path: Path
) -> None:
    driver = write_video(tmp_path / "driver.mp4", portrait_frames(7))
    config = AnimateConfig(fps=None, portrait=PortraitConfig(width_px=SIZE_PX, height_px=SIZE_PX))
    report = Rendering(engine, sample_portrait, driver, config).write(tmp_path / "a.mp4")
    assert report.frames == report.driver_frames == 7


def test_sizes_that_do_not_divide_and_a_full_device_are_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = load_portrait(photo(), PortraitConfig(width_px=120, height_px=120))
    with pytest.raises(InvalidConfigError, match="120×120 does not divide into tokens of 16×16"):
        engine.open(odd)
    monkeypatch.setattr(video_runtime, "free_bytes", lambda device: 1000)
    small = load_portrait(photo(), PortraitConfig(width_px=96, height_px=96))
    with pytest.raises(NoCapacityError, match="one more session needs"):
        engine.open(small)
    assert engine.free_slots == 2


@pytest.mark.parametrize("stages", [(), ("adapt",), ("adapt", "distill")])
def test_a_generator_without_all_its_training_is_not_served(run: Path, tmp_path: Path, stages: tuple[str, ...]) -> None:
    shutil.copytree(run, tmp_path / "run")
    changed = {**TRAINED, "stages": stages}
    save_part(tmp_path / "run/model.safetensors", generator_of(GENERATOR), "generator", **changed)
    with pytest.raises(InvalidConfigError, match="python -m training"):
        Engine.load(EngineConfig(model=str(tmp_path / "run")))


def test_what_is_missing_or_broken_in_a_run_is_named(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    text = tmp_path / "run/text.safetensors"
    for weight, about, said in (
        (torch.zeros(2, 5), "avatar-sdk text 1", r"is \[2, 5\]; this generator takes at most 5 tokens of 6"),
        (torch.zeros(2, 6), "a letter", "says it is 'a letter'"),
    ):
        save_file({"text": weight}, text, metadata={"format": about})
        with pytest.raises(InvalidConfigError, match=said):
            VideoRuntime(tmp_path / "run", FLOAT)
    text.write_bytes(b"nothing")
    with pytest.raises(InvalidConfigError, match="cannot be read as a text embedding"):
        VideoRuntime(tmp_path / "run", FLOAT)
    text.unlink()
    assert VideoRuntime(tmp_path / "run", FLOAT).name == "wan-1.3b"  # no words
    (tmp_path / "run/codec.safetensors").unlink()
    with pytest.raises(InvalidConfigError, match="there is no checkpoint"):
        VideoRuntime(tmp_path / "run", FLOAT)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_is_said_that_there_is_none(run: Path) -> None:
    with pytest.raises(MissingDependencyError, match="needs a CUDA device, and torch sees none; with torch:"):
        Engine.load(EngineConfig(model=str(run)))
