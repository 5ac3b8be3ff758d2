"""Video codecs stream: what was seen is all in the stream, and only the past counts."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from torch import Tensor  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from avatar_sdk.model.video.build import Decoder, Encoder, build_codec  # noqa: E402
from avatar_sdk.model.video.config import (  # noqa: E402
    VIDEO_CODECS,
    LightConfig,
    StemConfig,
    TaehvConfig,
    VideoCodecConfig,
    WanVaeConfig,
)
from avatar_sdk.model.video.streaming import decode_clip, encode_clip, encode_portrait  # noqa: E402

WAN = WanVaeConfig(width=4)
TAEHV = TaehvConfig(encoder_width=8, decoder_widths=(8, 8, 4, 4))
LIGHT = LightConfig(widths=(4, 4, 8, 8))
STEM = StemConfig(widths=(8, 8))
CODECS = {
    "wan": VideoCodecConfig(WAN, WAN),
    "taehv": VideoCodecConfig(TAEHV, TAEHV),
    "taew2.2": VideoCodecConfig(
        replace(TAEHV, latent_channels=48, patch_px=2), replace(TAEHV, latent_channels=48, patch_px=2)
    ),
    "light": VideoCodecConfig(WAN, LIGHT, STEM),
}
HEIGHT_PX, WIDTH_PX = 16, 32
LATENTS = 3
TERA_FLOP = {"wan2.1": (10.4, 6.16), "taew2.1": (0.404, 0.185), "taew2.2": (0.104, 0.0496), "light": (3.49, 0.00182)}
"""Of decoding a latent and of encoding the condition."""
MEMORY_GB = {"wan2.1": 1.45, "taew2.1": 0.0514, "taew2.2": 0.0129, "light": 0.696}
"""Of a decoder's stream, in bfloat16."""


def fresh(name: str) -> tuple[Encoder, Decoder]:
    """What encodes the condition, and the decoder; each with weights that make every memory count."""
    torch.manual_seed(3)
    codec = build_codec(CODECS[name]).eval()
    for module in codec.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    return codec.condition, codec.decoder


@pytest.fixture(params=sorted(CODECS))
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return fresh(request.param)[1]


@pytest.fixture(params=sorted(CODECS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return fresh(request.param)[0]


def latents_for(decoder: Decoder, seed: int = 0, rows: int = 1) -> Tensor:
    """(B, L, C, H, W)."""
    shape = decoder.start(rows, HEIGHT_PX, WIDTH_PX).latent_shape
    return torch.randn(LATENTS, *shape, generator=torch.Generator().manual_seed(seed)).transpose(0, 1)


def frames_for(encoder: Encoder, seed: int = 0, rows: int = 1) -> Tensor:
    """(B, F, C, H, W)."""
    shape = encoder.start(rows, HEIGHT_PX, WIDTH_PX).frame_shape
    return torch.rand(4 * LATENTS - 3, *shape, generator=torch.Generator().manual_seed(seed)).transpose(0, 1)


def decoded(decoder: Decoder, latents: Tensor) -> Tensor:
    return decode_clip(decoder, latents, HEIGHT_PX, WIDTH_PX)


@torch.no_grad()
def test_the_first_latent_is_one_frame_and_every_later_one_four(decoder: Decoder) -> None:
    latents, stream = latents_for(decoder, rows=2), decoder.start(2, HEIGHT_PX, WIDTH_PX)
    assert decoder.first(latents[:, 0], stream).shape == (2, 1, 3, HEIGHT_PX, WIDTH_PX)
    frames = decoder.later(latents[:, 1], stream)
    assert frames.shape == (2, 4, 3, HEIGHT_PX, WIDTH_PX)
    assert frames.min() >= 0
    assert frames.max() <= 1
    assert all(not torch.equal(a, b) for a, b in zip(frames.unbind(1), frames[:, 1:].unbind(1), strict=False))


@torch.no_grad()
def test_what_is_yet_to_come_does_not_change_what_was_decoded(decoder: Decoder) -> None:
    latents = latents_for(decoder)
    other = latents.clone()
    other[:, 2] = latents_for(decoder, seed=1)[:, 2]
    a, b = decoded(decoder, latents), decoded(decoder, other)
    assert torch.equal(a[:, :5], b[:, :5])
    assert all(not torch.equal(a[:, f], b[:, f]) for f in range(5, 9))


@torch.no_grad()
def test_what_is_yet_to_come_does_not_change_what_was_encoded(encoder: Encoder) -> None:
    frames = frames_for(encoder)
    other = frames.clone()
    other[:, 8] = frames_for(encoder, seed=1)[:, 8]
    a, b = encode_clip(encoder, frames), encode_clip(encoder, other)
    assert torch.equal(a[:, :2], b[:, :2])
    assert not torch.equal(a[:, 2], b[:, 2])


@torch.no_grad()
def test_memories_keep_address_and_shape_and_change_with_every_step(decoder: Decoder) -> None:
    latents, stream = latents_for(decoder), decoder.start(1, HEIGHT_PX, WIDTH_PX)
    places = [(m.data_ptr(), m.shape) for m in stream.memories]
    decoder.first(latents[:, 0], stream)
    for i in (1, 2):
        before = [m.clone() for m in stream.memories]
        decoder.later(latents[:, i], stream)
        assert [(m.data_ptr(), m.shape) for m in stream.memories] == places
        assert not any(torch.equal(m, b) for m, b in zip(stream.memories, before, strict=True))


@torch.no_grad()
def test_two_decoded_streams_do_not_disturb_each_other(decoder: Decoder) -> None:
    clips = [latents_for(decoder, seed) for seed in (1, 2)]
    alone = [decoded(decoder, clip) for clip in clips]
    streams = [decoder.start(1, HEIGHT_PX, WIDTH_PX) for _ in clips]
    for clip, stream, whole in zip(clips, streams, alone, strict=True):
        assert torch.equal(decoder.first(clip[:, 0], stream), whole[:, :1])
    for i in (1, 2):
        for clip, stream, whole in zip(clips, streams, alone, strict=True):
            assert torch.equal(decoder.later(clip[:, i], stream), whole[:, 4 * i - 3 : 4 * i + 1])


@torch.no_grad()
def test_two_encoded_streams_do_not_disturb_each_other(encoder: Encoder) -> None:
    clips = [frames_for(encoder, seed) for seed in (1, 2)]
    alone = [encode_clip(encoder, clip) for clip in clips]
    streams = [encoder.start(1, HEIGHT_PX, WIDTH_PX) for _ in clips]
    for clip, stream, whole in zip(clips, streams, alone, strict=True):
        assert torch.equal(encoder.first(clip[:, :1], stream), whole[:, 0])
    for i in (1, 2):
        for clip, stream, whole in zip(clips, streams, alone, strict=True):
            assert torch.equal(encoder.later(clip[:, 4 * i - 3 : 4 * i + 1], stream), whole[:, i])


@torch.no_grad()
def test_rows_of_a_batch_are_streams_of_their_own(decoder: Decoder) -> None:
    clips = [latents_for(decoder, seed) for seed in (1, 2)]
    together = decoded(decoder, torch.cat(clips))
    for row, clip in zip(together, clips, strict=True):
        assert (row - decoded(decoder, clip)[0]).abs().max() <= 1e-4


@torch.no_grad()
def test_a_reset_stream_is_a_fresh_one_and_a_first_latent_resets(decoder: Decoder) -> None:
    latents, other = latents_for(decoder), latents_for(decoder, seed=5)
    used = decoder.start(1, HEIGHT_PX, WIDTH_PX)
    decoder.first(other[:, 0], used)
    decoder.later(other[:, 1], used)
    assert any(m.any() for m in used.memories)
    again = torch.cat([decoder.first(latents[:, 0], used), decoder.later(latents[:, 1], used)], 1)
    assert torch.equal(again, decoded(decoder, latents[:, :2]))
    used.reset()
    assert not any(m.any() for m in used.memories)
    new = decoder.start(1, HEIGHT_PX, WIDTH_PX)
    assert torch.equal(decoder.later(latents[:, 1], used), decoder.later(latents[:, 1], new))


@torch.no_grad()
def test_a_first_frame_resets_an_encoder(encoder: Encoder) -> None:
    frames, stream = frames_for(encoder), encoder.start(1, HEIGHT_PX, WIDTH_PX)
    for seed in (0, 7):
        clip = frames_for(encoder, seed)
        latents = [encoder.first(clip[:, :1], stream), encoder.later(clip[:, 1:5], stream)]
    assert not torch.equal(torch.stack(latents, 1), encode_clip(encoder, frames[:, :5]))
    assert torch.equal(torch.stack(latents, 1), encode_clip(encoder, clip[:, :5]))


@torch.no_grad()
def test_frames_asked_for_one_by_one_are_those_of_the_whole_step(decoder: Decoder) -> None:
    latents = latents_for(decoder)
    whole, stream = decoded(decoder, latents), decoder.start(1, HEIGHT_PX, WIDTH_PX)
    decoder.first(latents[:, 0], stream)
    for i in (1, 2):
        frames = torch.stack(list(decoder.frames(latents[:, i], stream)), 1)
        assert (frames - whole[:, 4 * i - 3 : 4 * i + 1]).abs().max() <= 1e-5


@torch.no_grad()
def test_taehv_computes_a_frame_only_when_it_is_asked_for() -> None:
    _, decoder = fresh("taehv")
    latents, stream = latents_for(decoder), decoder.start(1, HEIGHT_PX, WIDTH_PX)
    calls: list[int] = []
    decoder.conv_out.register_forward_hook(lambda *_: calls.append(1))
    decoder.stages[2].blocks[0].register_forward_hook(lambda *_: calls.append(10))  # type: ignore[union-attr]
    frames = decoder.frames(latents[:, 1], stream)
    costs = []
    for _ in islice(frames, 4):
        costs.append(sum(calls))
        calls.clear()
    assert costs == [11, 1, 11, 1]
    assert next(frames, None) is None


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(CODECS))
def test_a_portrait_is_the_first_latent_of_a_clip_of_its_own(name: str) -> None:
    encoder = build_codec(CODECS[name]).encoder
    clip = frames_for(encoder)
    portrait = encode_portrait(encoder, clip[:, 0])
    assert torch.equal(portrait, encode_clip(encoder, clip)[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(VIDEO_CODECS))
def test_no_step_reads_a_value_back_and_costs_what_the_design_says(name: str) -> None:
    """Published sizes on the meta device, where there are no values; cost per latent at 736×416."""
    with torch.device("meta"):
        codec = build_codec(VIDEO_CODECS[name])
    codec.to("meta")
    decoding, encoding = codec.decoder.start(1, 416, 736), codec.condition.start(1, 416, 736)
    costs = {}
    for step, frames in (("first", 1), ("later", 4)):
        latent = torch.empty(decoding.latent_shape, device="meta")
        pixels = torch.empty(1, frames, *encoding.frame_shape[1:], device="meta")
        with FlopCounterMode(display=False) as decode:
            assert getattr(codec.decoder, step)(latent, decoding).shape == (1, frames, 3, 416, 736)
        with FlopCounterMode(display=False) as condition:
            assert getattr(codec.condition, step)(pixels, encoding).shape == encoding.latent_shape
        costs[step] = (decode.get_total_flops() / 1e12, condition.get_total_flops() / 1e12)
    assert costs["later"] == pytest.approx(TERA_FLOP[name], rel=0.02)
    assert costs["first"][0] < costs["later"][0]
    half_gb = sum(m.numel() for m in decoding.memories) * 2 / 1e9
    assert half_gb == pytest.approx(MEMORY_GB[name], rel=0.02)


def test_mean_and_deviation_survive_a_model_built_without_memory() -> None:
    with torch.device("meta"):
        codec = build_codec(CODECS["wan"])
    codec.load_state_dict(build_codec(CODECS["wan"]).state_dict(), assign=True)
    frames = decoded(codec.decoder, latents_for(codec.decoder))
    assert frames.isfinite().all()
    assert {t.device.type for t in codec.buffers()} == {"cpu"}


def test_in_training_nothing_is_clipped_and_gradients_flow_through_the_stream() -> None:
    encoder, decoder = fresh("light")
    decoder.train()
    torch.nn.init.constant_(decoder.conv_out.bias, 9.0)
    latents = latents_for(decoder).requires_grad_()
    frames = decoded(decoder, latents)
    assert frames.min() > 1
    (gradient,) = torch.autograd.grad(frames[:, -1].sum(), latents)
    assert (gradient.abs().amax((0, 2, 3, 4)) > 0).all()
    encode_clip(encoder, frames_for(encoder)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())


@torch.no_grad()
def test_a_codec_in_half_precision_streams_in_half_precision(decoder: Decoder) -> None:
    latents = latents_for(decoder)
    exact = decoded(decoder, latents)
    half = decoder.bfloat16()
    assert {m.dtype for m in half.start(1, HEIGHT_PX, WIDTH_PX).memories} == {torch.bfloat16}
    frames = decoded(half, latents.bfloat16())
    assert frames.dtype == torch.bfloat16
    assert (frames - exact).abs().mean() <= 0.02


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_captured_steps_equal_the_steps_and_never_wait_for_the_device(decoder: Decoder) -> None:
    decoder = decoder.cuda()
    latents = latents_for(decoder).cuda()
    wanted = decoded(decoder, latents)
    latent, stream = latents[:, 0].clone(), decoder.start(1, HEIGHT_PX, WIDTH_PX)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            decoder.first(latent, stream)
            decoder.later(latent, stream)
    torch.cuda.current_stream().wait_stream(side)
    first, later = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(first):
        first_frame = decoder.first(latent, stream)
    with torch.cuda.graph(later):
        later_frames = decoder.later(latent, stream)
    got = []
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for i in range(LATENTS):
            latent.copy_(latents[:, i])
            (later if i else first).replay()
            got.append((later_frames if i else first_frame).clone())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (torch.cat(got, 1) - wanted).abs().max() <= 1e-3


def test_latents_and_frames_of_another_shape_are_refused_with_both_shapes(decoder: Decoder) -> None:
    stream = decoder.start(1, HEIGHT_PX, WIDTH_PX)
    _, channels, rows, columns = stream.latent_shape
    for wrong in ((1, channels + 1, rows, columns), (1, channels, rows, columns + 1), (2, channels, rows, columns)):
        for step in (decoder.first, decoder.later, decoder.frames):
            with pytest.raises(InvalidConfigError, match=f"{'×'.join(map(str, wrong))}.*1×{channels}×{rows}") as caught:
                step(torch.zeros(wrong), stream)
            assert caught.value.field == "latent"
    assert not any(m.any() for m in stream.memories)


def test_frames_in_another_number_are_refused(encoder: Encoder) -> None:
    stream = encoder.start(1, HEIGHT_PX, WIDTH_PX)
    frames = frames_for(encoder)
    with pytest.raises(InvalidConfigError, match=r"1×3×3×16×32, this step takes 1×4×3×16×32"):
        encoder.later(frames[:, :3], stream)
    with pytest.raises(InvalidConfigError, match=r"1×2×3×16×32, this step takes 1×1×3×16×32"):
        encoder.first(frames[:, :2], stream)
    with pytest.raises(InvalidConfigError, match=r"1 \+ 4·n frames, this one 8"):
        encode_clip(encoder, frames[:, :8])


def test_frames_that_cells_cannot_tile_are_refused_with_the_nearest_size(decoder: Decoder) -> None:
    cell = HEIGHT_PX // decoder.start(1, HEIGHT_PX, WIDTH_PX).latent_shape[2]
    with pytest.raises(InvalidConfigError, match=f"height of {5 * cell + 1} px .* multiple of {cell} px.*{5 * cell}"):
        decoder.start(1, 5 * cell + 1, WIDTH_PX)
    with pytest.raises(InvalidConfigError, match=f"width of 0 px .*nearest is {cell}"):
        decoder.start(1, HEIGHT_PX, 0)


@pytest.mark.parametrize("name", sorted(VIDEO_CODECS))
def test_a_checkpoint_can_carry_a_config(name: str) -> None:
    config = VIDEO_CODECS[name]
    assert VideoCodecConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"16 channels for 8×8 pixels.*48 for 16×16; they must agree"):
        VideoCodecConfig(WAN, CODECS["taew2.2"].decoder)
    with pytest.raises(InvalidConfigError, match=r"stem makes one vector of 16×16 pixels"):
        VideoCodecConfig(WAN, LIGHT, StemConfig(widths=(8, 8, 8)))
    with pytest.raises(InvalidConfigError, match=r"halves_time \(True,\)"):
        WanVaeConfig(halves_time=(True,))
    with pytest.raises(InvalidConfigError, match=r"growth \(1, 1, 2\) one 4"):
        TaehvConfig(growth=(1, 1, 2))
    with pytest.raises(InvalidConfigError, match=r"stored_growth .* is less than growth"):
        TaehvConfig(stored_growth=(1, 1, 2))


@pytest.mark.parametrize(
    "damage", [{"encoder": {"kind": "gif"}}, {"encoder": {"kind": "stem"}}, {"decoder": 3}, {"x": {}}]
)
def test_a_config_that_cannot_be_read_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(InvalidConfigError, match="cannot be"):
        VideoCodecConfig.from_dict({**VIDEO_CODECS["light"].to_dict(), **damage})
