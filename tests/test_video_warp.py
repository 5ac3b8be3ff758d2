"""The warp of a large generator's frames on the device: the CPU's pictures and maps, from motions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="large generators need torch; install the extra `train` or `gpu`")

from video_models import CODECS, GENERATOR, codec_of, generator_of  # noqa: E402

from avatar_sdk.bench.motions import sample_motions  # noqa: E402
from avatar_sdk.model.video.config import StemConfig, VideoCodecConfig  # noqa: E402
from avatar_sdk.model.video_presets import Resolution, VideoPreset  # noqa: E402
from avatar_sdk.motion import Motion  # noqa: E402
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait  # noqa: E402
from avatar_sdk.runtime.guide import at_rest  # noqa: E402
from avatar_sdk.runtime.torch.video.config import VideoConfig  # noqa: E402
from avatar_sdk.runtime.torch.video.fidelity import random_text  # noqa: E402
from avatar_sdk.runtime.torch.video.stream import VideoStream  # noqa: E402
from avatar_sdk.runtime.torch.video.warp import DeviceWarp, portrait_bytes  # noqa: E402
from avatar_sdk.warp import Warp  # noqa: E402
from avatar_sdk.warp.picture import maps_on_picture  # noqa: E402

SIZE = Resolution(96, 64)
READS_MAPS = replace(CODECS["light"], stem=StemConfig(frame_channels=11, widths=(8, 8)))
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(SIZE.width_px, SIZE.height_px))


@pytest.fixture(scope="module")
def motions(portrait: Portrait) -> list[Motion]:
    """Four far apart."""
    return sample_motions(portrait, 91)[::30]


def drawn(warp: DeviceWarp, motions: Sequence[Motion]) -> Pixels:
    """(F, H, W, C)."""
    warp.check(motions, len(motions))
    warp.write(1, motions)
    warp.upload(1)
    warp.draw(len(motions))
    frames: Pixels = warp.frames.cpu().numpy().copy()
    return frames


def planes(warp: Warp, motion: Motion, channels: int) -> Pixels:
    """(H, W, C): what the CPU makes of a motion."""
    frame = warp.step(motion)
    return np.concatenate([frame.image, np.moveaxis(maps_on_picture(frame), 0, -1)], -1)[..., :channels]


@pytest.mark.parametrize("channels", [3, 6, 11])
def test_pictures_and_maps_are_the_cpus_for_the_portrait_and_for_four_motions(
    channels: int, portrait: Portrait, motions: list[Motion]
) -> None:
    warp, device = Warp(portrait), DeviceWarp(SIZE, channels, "cpu")
    device.begin(portrait)
    rest = device.frames[0].numpy().copy()
    frames = drawn(device, motions)
    assert frames.shape == (4, SIZE.height_px, SIZE.width_px, channels)
    for shown, motion in ((rest, at_rest(portrait)), *zip(frames, motions, strict=True)):
        off = np.abs(shown.astype(int) - planes(warp, motion, channels)).mean((0, 1))
        assert off.max() <= 0.3, off
    moved = np.abs(planes(warp, motions[2], channels).astype(int) - rest).mean((0, 1))
    off = np.abs(planes(warp, motions[2], channels).astype(int) - frames[2]).mean((0, 1))
    assert (off < 0.2 * moved).all(), (off, moved)


def test_a_latent_sends_its_motions_and_nothing_else(portrait: Portrait, motions: list[Motion]) -> None:
    device = DeviceWarp(SIZE, 3, "cpu")
    device.begin(portrait)
    held = device._photos.image.clone()
    first = drawn(device, motions)
    assert device._host[1].numel() * device._host.element_size() < 24_000 < first.nbytes
    assert torch.equal(device._photos.image, held)
    assert device._photos.bytes == portrait_bytes(SIZE)
    np.testing.assert_array_equal(drawn(device, motions), first)


def test_a_motion_that_is_none_repeats_the_last(portrait: Portrait, motions: list[Motion]) -> None:
    device = DeviceWarp(SIZE, 11, "cpu")
    device.begin(portrait)
    first, second = motions[:2]
    nothing = replace(second, landmarks=np.full_like(second.landmarks, np.nan))
    frames = drawn(device, [nothing, first, replace(second, head_scale=1e9), second])
    expected = drawn(device, [at_rest(portrait), first, first, second])
    np.testing.assert_array_equal(frames, expected)


def test_a_portrait_of_another_size_and_another_number_of_motions_are_refused(
    portrait: Portrait, sample_portrait: Path, motions: list[Motion]
) -> None:
    device = DeviceWarp(SIZE, 3, "cpu")
    with pytest.raises(InvalidConfigError, match="the portrait is 64×64"):
        device.begin(load_portrait(sample_portrait, PortraitConfig(64, 64)))
    stream = stream_of(VideoConfig(precision="float32"))
    stream.begin(portrait, random_text(stream))
    with pytest.raises(InvalidConfigError, match="4 motions were given; this step takes 1"):
        stream.submit(motions)


def stream_of(how: VideoConfig, codec_config: VideoCodecConfig = CODECS["taehv"]) -> VideoStream:
    """Given motions, on the device of `how`."""
    config = VideoPreset(GENERATOR).at(SIZE)
    generator, codec = generator_of(config).to(how.device), codec_of(codec_config).to(how.device)
    return VideoStream(generator, codec, SIZE, how, source=DeviceWarp(SIZE, codec.frame_channels, how.device))


def shown_by(stream: VideoStream, portrait: Portrait, motions: list[Motion], latents: int = 1) -> Pixels:
    stream.begin(portrait, random_text(stream), seed=4)
    frames = [frame.copy() for frame in stream.advance([at_rest(portrait)])]
    for _ in range(latents):
        frames += [frame.copy() for frame in stream.advance(motions)]
    return np.stack(frames)


def test_the_condition_is_made_of_the_motions_of_its_own_step(portrait: Portrait, motions: list[Motion]) -> None:
    stream = stream_of(VideoConfig(precision="float32"), READS_MAPS)
    stream.begin(portrait, random_text(stream))
    stream.advance([at_rest(portrait)])
    stream.submit(motions)
    ours = stream.step.source.frames.numpy().copy()
    other = DeviceWarp(SIZE, 11, "cpu")
    other.begin(portrait)
    np.testing.assert_array_equal(ours, drawn(other, motions))


def test_another_portrait_begins_anew_on_the_same_stream(
    portrait: Portrait, motions: list[Motion], sample_portrait: Path
) -> None:
    stream = stream_of(VideoConfig(precision="float32"))
    other = load_portrait(sample_portrait, PortraitConfig(SIZE.width_px, SIZE.height_px, framing=1.5))
    first = shown_by(stream, portrait, motions)
    assert not np.array_equal(shown_by(stream, other, motions), first)
    np.testing.assert_array_equal(shown_by(stream, portrait, motions), first)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("overlapped", [True, False])
def test_replayed_graphs_warp_as_a_cpu_does(overlapped: bool, portrait: Portrait, motions: list[Motion]) -> None:
    """After `begin`, a step waits for the device only where its frames are fetched."""
    latents = GENERATOR.window + 1
    here = shown_by(stream_of(VideoConfig(precision="float32"), READS_MAPS), portrait, motions, latents)
    stream = stream_of(VideoConfig("cuda", "float32", overlapped=overlapped), READS_MAPS)
    there = shown_by(stream, portrait, motions, latents)
    assert np.abs(there.astype(int) - here).mean() < 1.0
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(stream.advance(motions)) == len(motions)
    finally:
        torch.cuda.set_sync_debug_mode("default")
