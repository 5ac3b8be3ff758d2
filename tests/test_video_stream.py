"""A stream of a large generator: the static program computes what the plain modules compute, frame by frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, SessionStateLostError
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the runtime needs torch; install the extra `train` or `gpu`")

from torch import Tensor  # noqa: E402
from video_models import CODECS, GENERATOR, GENERATORS, codec_of, generator_of  # noqa: E402

from avatar_sdk.model.cache import GrowingCache  # noqa: E402
from avatar_sdk.model.generator import Generator  # noqa: E402
from avatar_sdk.model.presets import GeneratorConfig  # noqa: E402
from avatar_sdk.model.video.build import VideoCodec  # noqa: E402
from avatar_sdk.model.video.streaming import decode_clip, encode_clip, encode_portrait  # noqa: E402
from avatar_sdk.model.video_presets import Resolution  # noqa: E402
from avatar_sdk.runtime.torch.video.config import VideoConfig  # noqa: E402
from avatar_sdk.runtime.torch.video.memory import cache_bytes  # noqa: E402
from avatar_sdk.runtime.torch.video.step import Kind  # noqa: E402
from avatar_sdk.runtime.torch.video.stream import VideoStream  # noqa: E402

SIZE = Resolution(48, 32)
FLOAT = VideoConfig(precision="float32")
LATENTS = 2 * GENERATOR.window + 2
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Pixels = NDArray[np.uint8]


def frames_of(count: int, seed: int = 0) -> Pixels:
    """(F, H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE.height_px, SIZE.width_px, 3), np.uint8)


def text_of(config: GeneratorConfig) -> Tensor | None:
    if not config.text_dim:
        return None
    return torch.randn(config.text_tokens, config.text_dim, generator=torch.Generator().manual_seed(5))


def steps_of(clip: Pixels) -> list[Pixels]:
    """One frame, then four at a time."""
    return [clip[:1], *(clip[i : i + 4] for i in range(1, len(clip), 4))]


def streamed(stream: VideoStream, clip: Pixels, at: int = 0, seed: int = 3) -> tuple[list[Tensor], Pixels]:
    """Latents and frames."""
    stream.begin(frames_of(1, 9)[0], text_of(stream.config), seed, at)
    latents, shown = [], []
    for frames in steps_of(clip):
        shown += [frame.copy() for frame in stream.advance(frames)]
        latents.append(stream.step.latent.cpu().clone())
    return latents, np.stack(shown)


@torch.no_grad()
def plain(generator: Generator, codec: VideoCodec, clip: Pixels, seed: int = 3) -> tuple[list[Tensor], Tensor]:
    """The same by the modules themselves, with a cache that forgets nothing, over the whole clip."""
    from avatar_sdk.model.inputs import noise

    config = generator.config

    def planes(frames: Pixels) -> Tensor:
        return torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255

    conditions = encode_clip(codec.condition, planes(clip))
    text = text_of(config)
    prompts = None if text is None else generator.prompt(text[None])
    sinks = generator.sink(encode_portrait(codec.condition, planes(frames_of(1, 9))[:, 0]), prompts)
    caches = [GrowingCache() for _ in range(config.depth)]
    latent, latents = torch.zeros(1, *config.latent_shape), []
    for k in range(conditions.shape[1]):
        eps = torch.from_numpy(noise(config, seed, k))[None]
        frame = torch.tensor([k])
        v = generator(eps, latent, conditions[:, k], torch.ones(1), frame, sinks, caches, prompts=prompts)
        latent = eps - v
        latents.append(latent)
    return latents, decode_clip(codec.decoder, torch.stack(latents, 1), SIZE.height_px, SIZE.width_px)[0]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", GENERATORS)
def test_the_static_program_shows_what_the_modules_show_for_the_whole_clip(kind: str, codec: str) -> None:
    generator, network = generator_of(GENERATORS[kind]), codec_of(CODECS[codec])
    clip = frames_of(4 * LATENTS - 3)
    latents, shown = streamed(VideoStream(generator, network, SIZE, FLOAT), clip)
    wanted, drawn = plain(generator, network, clip)
    for k, (ours, theirs) in enumerate(zip(latents, wanted, strict=True)):
        assert float((ours - theirs).abs().max()) < 2e-4, k
    assert shown.shape == (len(clip), SIZE.height_px, SIZE.width_px, 3)
    expected = (drawn.permute(0, 2, 3, 1) * 255).numpy()
    assert np.abs(shown - expected).max() < 0.6
    assert expected.std() > 10


def test_a_step_has_three_shapes_and_begins_anew_with_the_stream() -> None:
    stream = VideoStream(generator_of(GENERATOR), codec_of(CODECS["taehv"]), SIZE, FLOAT)
    clip = frames_of(4 * LATENTS - 3)
    first = streamed(stream, clip)
    assert stream.kind is Kind.FULL
    stream.begin(frames_of(1, 9)[0], text_of(GENERATOR))
    kinds = []
    for frames in steps_of(clip)[: GENERATOR.window + 1]:
        kinds.append(stream.kind)
        stream.advance(frames)
    assert kinds == [Kind.FIRST, *[Kind.WARMING] * (GENERATOR.window - 1), Kind.FULL]
    again = streamed(stream, clip)
    assert np.array_equal(first[1], again[1])


def test_two_steps_may_be_under_way_and_their_frames_come_in_order() -> None:
    stream = VideoStream(generator_of(GENERATOR), codec_of(CODECS["taehv"]), SIZE, FLOAT)
    clip = frames_of(13)
    _, one_by_one = streamed(stream, clip)
    stream.begin(frames_of(1, 9)[0], text_of(GENERATOR), 3)
    shown: list[Pixels] = []
    steps = steps_of(clip)
    stream.submit(steps[0])
    for frames in steps[1:]:
        stream.submit(frames)
        shown += [frame.copy() for frame in stream.fetch()]
    shown += [frame.copy() for frame in stream.fetch()]
    assert np.array_equal(np.stack(shown), one_by_one)


def test_the_pose_condition_the_portrait_and_the_text_are_seen() -> None:
    generator, codec = generator_of(GENERATOR), codec_of(CODECS["taehv"])
    stream = VideoStream(generator, codec, SIZE, FLOAT)

    def latent(portrait: int, clip: int, text: float) -> Tensor:
        words = text_of(GENERATOR)
        assert words is not None
        stream.begin(frames_of(1, portrait)[0], words * text)
        stream.advance(frames_of(1, clip))
        return stream.step.latent.clone()

    base = latent(9, 0, 1.0)
    assert torch.equal(latent(9, 0, 1.0), base)
    for other in (latent(8, 0, 1.0), latent(9, 1, 1.0), latent(9, 0, -1.0)):
        assert float((other - base).abs().max()) > 1e-3


@pytest.mark.parametrize("at", [24 * 3600, 10**7])
def test_an_hour_of_frames_changes_nothing_but_the_position(at: int) -> None:
    """Rotary angles come from float64, so a late stream is the early one, and holds no more memory."""
    stream = VideoStream(generator_of(GENERATOR), codec_of(CODECS["taehv"]), SIZE, FLOAT)
    clip = frames_of(4 * LATENTS - 3)
    early, _ = streamed(stream, clip)
    held = stream.step.rings.bytes
    late, _ = streamed(stream, clip, at)
    assert stream.step.rings.bytes == held
    for ours, theirs in zip(late, early, strict=True):
        assert float((ours - theirs).abs().max()) < 2e-3 * float(theirs.std())


def test_the_ring_holds_what_the_arithmetic_says() -> None:
    for kind, config in GENERATORS.items():
        long = replace(config, window=30)
        stream = VideoStream(generator_of(long), codec_of(CODECS["taehv"]), SIZE, FLOAT)
        stream.begin(frames_of(1)[0], text_of(long))
        assert stream.step.rings.bytes == pytest.approx(cache_bytes(long, torch.float32), rel=0.02), kind


def test_what_does_not_fit_a_step_is_refused_by_name() -> None:
    stream = VideoStream(generator_of(GENERATORS["two streams"]), codec_of(CODECS["taehv"]), SIZE, FLOAT)
    with pytest.raises(InvalidConfigError, match="attends to a text at every step"):
        stream.begin(frames_of(1)[0])
    with pytest.raises(InvalidConfigError, match=r"uint8 \[1, 32, 48, 3\]"):
        stream.begin(frames_of(1)[0, :-2], text_of(GENERATOR))
    stream.begin(frames_of(1)[0], text_of(GENERATOR))
    with pytest.raises(InvalidConfigError, match=r"the frames are uint8 \[4, 32, 48, 3\]; this step takes uint8 \[1"):
        stream.submit(frames_of(4))
    stream = VideoStream(generator_of(GENERATOR), codec_of(CODECS["taehv"]), SIZE, FLOAT)
    stream.begin(frames_of(1)[0], text_of(GENERATOR))
    with pytest.raises(InvalidConfigError, match="all have a text"):
        stream.begin(frames_of(1)[0])


def test_a_latent_that_is_no_number_ends_the_stream_and_a_new_one_is_well() -> None:
    stream = VideoStream(generator_of(GENERATOR), codec_of(CODECS["taehv"]), SIZE, FLOAT)
    stream.begin(frames_of(1)[0], text_of(GENERATOR))
    stream.advance(frames_of(1))
    stream.step.latent[0, 0, 0, 0] = torch.nan
    with pytest.raises(SessionStateLostError, match="no longer finite"):
        stream.advance(frames_of(4))
    stream.begin(frames_of(1)[0], text_of(GENERATOR))
    assert len(stream.advance(frames_of(1))) == 1


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("overlapped", [True, False])
def test_replayed_graphs_show_what_a_cpu_shows(codec: str, overlapped: bool) -> None:
    clip = frames_of(4 * LATENTS - 3)
    here = streamed(VideoStream(generator_of(GENERATOR), codec_of(CODECS[codec]), SIZE, FLOAT), clip)[1]
    how = VideoConfig("cuda", "float32", overlapped=overlapped)
    generator, network = generator_of(GENERATOR).cuda(), codec_of(CODECS[codec]).cuda()
    there = streamed(VideoStream(generator, network, SIZE, how), clip)[1]
    assert np.abs(there.astype(int) - here).mean() < 1.0


@pytest.mark.gpu
@needs_cuda
def test_a_frame_waits_for_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    how = VideoConfig("cuda", "float32")
    stream = VideoStream(generator_of(GENERATOR).cuda(), codec_of(CODECS["taehv"]).cuda(), SIZE, how)
    clip = frames_of(4 * LATENTS - 3)
    text = text_of(GENERATOR)
    stream.begin(frames_of(1, 9)[0], text)
    waits = []
    plain_wait = torch.cuda.Event.synchronize

    def counted(event: torch.cuda.Event) -> None:
        waits.append(event)
        plain_wait(event)

    monkeypatch.setattr(torch.cuda.Event, "synchronize", counted)
    torch.cuda.set_sync_debug_mode("error")
    try:
        shown = sum(len(stream.advance(frames)) for frames in steps_of(clip))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert shown == len(waits) == len(clip)
