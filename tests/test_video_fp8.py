"""Fewer bits: how far they take a stream from where it would have been."""

from __future__ import annotations

from dataclasses import replace

import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the runtime needs torch; install the extra `train` or `gpu`")

from video_models import CODECS, GENERATOR, GENERATORS, codec_of, generator_of, random_clip  # noqa: E402

from avatar_sdk.model.video_presets import Resolution  # noqa: E402
from avatar_sdk.runtime.torch.video.config import VideoConfig  # noqa: E402
from avatar_sdk.runtime.torch.video.fidelity import PrecisionError, precision_error, trace  # noqa: E402
from avatar_sdk.runtime.torch.video.fp8 import FP8, Fp8Linear, quantised, use_fp8  # noqa: E402
from avatar_sdk.runtime.torch.video.memory import cache_bytes  # noqa: E402
from avatar_sdk.runtime.torch.video.stream import VideoStream  # noqa: E402

SIZE = Resolution(48, 32)
FLOAT = VideoConfig(precision="float32")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_rows_keep_their_own_scale() -> None:
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-4, 1, 1e3, 0])[:, None]
    held, scale = quantised(x)
    assert held.dtype is FP8
    back = held.float() * scale
    assert float(((back - x).abs() / x.abs().amax(1, keepdim=True).clamp(min=1e-9)).max()) < 0.04
    assert not back[3].any()


@torch.no_grad()
def test_a_layer_of_eight_bits_is_near_the_whole_one() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 48)
    x = torch.randn(2, 5, 64)
    wanted, got = linear(x), Fp8Linear(linear)(x)
    assert got.shape == wanted.shape
    error = float((got - wanted).norm() / wanted.norm())
    assert 1e-3 < error < 0.05
    assert Fp8Linear(torch.nn.Linear(16, 16, bias=False))(x[..., :16]).shape == (2, 5, 16)


def test_only_what_video_tokens_pass_in_every_block_is_replaced() -> None:
    generator = use_fp8(generator_of(GENERATOR))
    names = {name for name, module in generator.named_modules() if isinstance(module, Fp8Linear)}
    block = [*(f"self_attn.{part}" for part in "qkvo"), "ffn.0", "ffn.2", "cross_attn.q", "cross_attn.o"]
    assert names == {f"blocks.{i}.{part}" for i in range(GENERATOR.depth) for part in block}
    assert generator.dtype is torch.float32


def test_sizes_that_the_kernel_does_not_take_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"32 inputs and 40 outputs .* multiples of 16"):
        use_fp8(generator_of(replace(GENERATOR, ffn_dim=40)))


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_error_is_measured_against_the_same_stream_in_full_precision(kind: str) -> None:
    config = GENERATORS[kind]

    def stream(**how: bool) -> VideoStream:
        generator, set_up = generator_of(config), replace(FLOAT, **how)
        return VideoStream(use_fp8(generator) if set_up.fp8 else generator, codec_of(CODECS["taehv"]), SIZE, set_up)

    def error(latents: int, **how: bool) -> PrecisionError:
        clip = random_clip(SIZE, latents)
        return precision_error(trace(stream(), *clip), trace(stream(**how), *clip))

    same = error(3)
    assert same.first == same.last == 0
    products, cache, both = (
        error(6, **how) for how in ({"fp8": True}, {"fp8_cache": True}, {"fp8": True, "fp8_cache": True})
    )
    assert 1e-3 < products.first < 0.1
    assert 1e-4 < cache.last < 0.1
    assert both.first < 0.1
    assert products.grey_levels > 0


def test_a_ring_of_eight_bits_is_half_as_large_but_for_its_scales() -> None:
    config = replace(GENERATOR, dim=256, window=30)
    assert config.head_dim == 128
    whole, small = cache_bytes(config, torch.bfloat16), cache_bytes(config, torch.bfloat16, fp8=True)
    assert small / whole == pytest.approx((128 + 4) / 256)
    stream = VideoStream(
        generator_of(config), codec_of(CODECS["taehv"]), SIZE, VideoConfig(precision="bfloat16", fp8_cache=True)
    )
    held = sum(layer.keys.bytes + layer.values.bytes for layer in stream.step.rings.layers)
    assert held == small


@pytest.mark.gpu
@needs_cuda
def test_the_kernel_multiplies_what_the_emulation_multiplies() -> None:
    torch.manual_seed(0)
    layer = Fp8Linear(torch.nn.Linear(256, 512).bfloat16())
    x = torch.randn(96, 256).bfloat16()
    here, there = layer(x).float(), layer.cuda()(x.cuda()).cpu().float()
    assert float((here - there).norm() / here.norm()) < 0.01
