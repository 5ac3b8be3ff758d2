"""The large generators are the small one at another size: rectangular frames, patches, text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from avatar_sdk.model.cache import Cache, GrowingCache, NoCache, RingCache  # noqa: E402
from avatar_sdk.model.generator import Generator, generator_shapes, stays_float32  # noqa: E402
from avatar_sdk.model.inputs import noise, rope  # noqa: E402
from avatar_sdk.model.layers import Prompt, RMSNorm, Sink  # noqa: E402
from avatar_sdk.model.presets import GeneratorConfig  # noqa: E402
from avatar_sdk.model.video_presets import (  # noqa: E402
    RESOLUTIONS,
    VIDEO_PRESETS,
    Resolution,
    VideoPreset,
    parse_resolution,
)

WAN = GeneratorConfig(
    dim=24,
    depth=2,
    heads=2,
    ffn_dim=40,
    grid=2,
    columns=3,
    latent_channels=4,
    condition_channels=4,
    window=3,
    text_dim=6,
    text_tokens=5,
    freq_dim=16,
    patch=2,
)
KINDS = {
    "wan": WAN,
    "two streams": replace(WAN, streams=2),
    "no text": replace(WAN, text_dim=0, text_tokens=0),
}
FRAMES = 9


def built(config: GeneratorConfig, seed: int = 1) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Generator(config).eval()


def clip(config: GeneratorConfig, frames: int = FRAMES, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Noise, recycled latents and conditions, one row per frame."""
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(frames, *config.latent_shape, generator=rng) for _ in range(3))


def texts(generator: Generator, seed: int = 0) -> list[Prompt] | None:
    if not generator.config.text_dim:
        return None
    text = torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(seed))
    return generator.prompt(text.to(next(generator.parameters()).device))


def rings(config: GeneratorConfig, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[Cache]:
    size = (config.heads, config.tokens, config.window, config.head_dim)
    return [RingCache(*size, device, dtype) for _ in range(config.depth)]


def growing(config: GeneratorConfig) -> list[Cache]:
    return [GrowingCache() for _ in range(config.depth)]


def stream(
    generator: Generator,
    inputs: tuple[torch.Tensor, ...],
    memory: list[Cache],
    sinks: list[Sink] | None,
    prompts: list[Prompt] | None,
) -> torch.Tensor:
    """v of every frame, one forward each."""
    out, device = [], inputs[0].device
    for f in range(len(inputs[0])):
        rows = (part[f : f + 1] for part in inputs)
        frame = torch.tensor([f], device=device)
        out.append(generator(*rows, torch.ones(1, device=device), frame, sinks, memory, prompts=prompts))
    return torch.cat(out)


def whole(
    generator: Generator,
    inputs: tuple[torch.Tensor, ...],
    sinks: list[Sink] | None,
    prompts: list[Prompt] | None,
    causal: bool = True,
) -> torch.Tensor:
    """v of every frame in one forward."""
    frames = len(inputs[0])
    memory = [NoCache(frames, causal) for _ in range(generator.config.depth)]
    return generator(*inputs, torch.ones(frames), torch.arange(frames), sinks, memory, prompts=prompts)


@torch.no_grad()
@pytest.mark.parametrize("memory", [rings, growing])
@pytest.mark.parametrize("portrait", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_streamed_clip_equals_the_whole_clip(
    kind: str, portrait: bool, memory: Callable[[GeneratorConfig], list[Cache]]
) -> None:
    config = KINDS[kind]
    generator, inputs = built(config), clip(config)
    prompts = texts(generator)
    sinks = generator.sink(clip(config, 1, 9)[2], prompts) if portrait else None
    streamed = stream(generator, inputs, memory(config), sinks, prompts)
    assert streamed.shape == (FRAMES, 4, 4, 6)
    assert (streamed - whole(generator, inputs, sinks, prompts)).abs().max() <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_the_future_changes_the_past_only_when_a_clip_is_not_causal(kind: str) -> None:
    config = KINDS[kind]
    generator, inputs = built(config), clip(config)
    prompts = texts(generator)
    changed = tuple(torch.cat([part[:6], torch.randn_like(part[6:])]) for part in inputs)
    for causal in (True, False):
        before, after = (whole(generator, c, None, prompts, causal)[:6] for c in (inputs, changed))
        assert torch.equal(before, after) == causal


@torch.no_grad()
@pytest.mark.parametrize("kind", ["wan", "two streams"])
def test_every_frame_attends_to_the_text_and_the_text_to_nothing_else(kind: str) -> None:
    config = KINDS[kind]
    generator, inputs = built(config), clip(config, 3)
    a, b = (whole(generator, inputs, None, texts(generator, seed)) for seed in (1, 2))
    assert ((a - b).abs().amax((1, 2, 3)) > 1e-4).all()
    # The prompt is made from the text alone, so once a stream is enough; given as text it is read anew, and the same.
    text = torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(1))
    memory = [NoCache(3) for _ in range(config.depth)]
    assert torch.equal(a, generator(*inputs, torch.ones(3), torch.arange(3), None, memory, text_BSD=text))


@torch.no_grad()
def test_a_text_is_filled_up_and_a_longer_one_is_refused() -> None:
    generator = built(WAN)
    assert [p.keys.shape for p in generator.prompt(torch.zeros(1, 2, 6))] == [(1, 2, 5, 12)] * 2
    with pytest.raises(InvalidConfigError, match="the text has 6 tokens, this generator takes 5"):
        generator.prompt(torch.zeros(1, 6, 6))
    with pytest.raises(InvalidConfigError, match="made without text"):
        built(KINDS["no text"]).prompt(torch.zeros(1, 2, 6))


@torch.no_grad()
def test_grid_and_window_may_change_under_the_same_weights() -> None:
    generator = built(WAN)
    generator.config = replace(WAN, grid=3, columns=1, window=1)
    inputs, prompts = clip(generator.config), texts(generator)
    streamed = stream(generator, inputs, rings(generator.config), None, prompts)
    assert streamed.shape == (FRAMES, 4, 6, 2)
    assert (streamed - whole(generator, inputs, None, prompts)).abs().max() <= 1e-5


@torch.no_grad()
def test_positions_tell_rows_from_columns_of_a_rectangle() -> None:
    cos, sin = rope(replace(WAN, columns=5), 7)
    assert cos.shape == sin.shape == (10, 12)
    # Tokens are in rows: after five of them the row changes and the column begins anew. Of 12 numbers 4 turn with each.
    assert np.array_equal(cos[0, :4], cos[9, :4])
    assert np.array_equal(cos[4, 4:8], cos[0, 4:8])
    assert np.array_equal(cos[6, 8:], cos[1, 8:])
    assert not np.array_equal(cos[5, 4:8], cos[4, 4:8])
    assert noise(WAN, 0, 0).shape == (4, 4, 6)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_keeps_what_modulates_and_stays_near(kind: str) -> None:
    config = KINDS[kind]
    full, half = built(config), built(config).lower(torch.bfloat16)
    kept = {name for name, w in half.named_parameters() if w.dtype == torch.float32}
    assert kept == {name for name, _ in half.named_parameters() if stays_float32(name)}
    assert {"modulation", "blocks.1.modulation", "time_projection.1.weight"} <= kept
    assert not {"blocks.0.ffn.0.weight", "head.weight", "blocks.1.self_attn.norm_k.weight"} & kept
    outs = []
    for generator in (full, half):
        prompts = texts(generator)
        sinks = generator.sink(clip(config, 1, 9)[2], prompts)
        outs.append(whole(generator, clip(config), sinks, prompts))
        outs.append(stream(generator, clip(config), rings(config, dtype=generator.dtype), sinks, prompts))
    wanted, _, *lowered = outs
    for out in lowered:
        assert out.dtype == torch.bfloat16
        assert 0 < (wanted - out.float()).abs().mean() < 0.03 * wanted.std()


@torch.no_grad()
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_streams_what_the_cpu_streams(kind: str) -> None:
    config, outs = KINDS[kind], []
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.bfloat16)):
        generator = built(config).lower(dtype).to(device)
        prompts = texts(generator)
        sinks = generator.sink(clip(config, 1, 9)[2].to(device), prompts)
        inputs = tuple(part.to(device) for part in clip(config))
        outs.append(stream(generator, inputs, rings(config, device, dtype), sinks, prompts).float().cpu())
    assert (outs[0] - outs[1]).abs().mean() < 0.03 * outs[0].std()


@pytest.mark.parametrize(
    ("preset", "published", "tensors"),
    [
        ("wan-1.3b", 1_418_996_800, 825),
        ("wan-5b", 4_999_787_712, 825),
        ("wan-14b", 14_288_491_584, 1095),
    ],
)
def test_wan_presets_are_as_large_as_published_but_for_the_new_input_channels(
    preset: str, published: int, tensors: int
) -> None:
    config = VIDEO_PRESETS[preset].generator
    shapes = generator_shapes(config)
    new_channels = config.latent_channels + config.condition_channels
    assert sum(int(np.prod(s)) for s in shapes.values()) == published + new_channels * 4 * config.dim
    assert len(shapes) == tensors
    assert config.head_dim == 128


@pytest.mark.parametrize(("preset", "billions"), [("aapt-8b", 8.15), ("dit-8b", 8.05)])
def test_eight_billions_are_in_the_blocks(preset: str, billions: float) -> None:
    sizes = {name: int(np.prod(s)) for name, s in generator_shapes(VIDEO_PRESETS[preset].generator).items()}
    seen = sum(n for name, n in sizes.items() if name.startswith("blocks."))
    read = sum(n for name, n in sizes.items() if name.startswith("text_blocks."))
    assert (seen + read) / 1e9 == pytest.approx(billions, abs=0.01)
    assert sum(sizes.values()) < 1.03 * (seen + read)
    assert read / 1e9 == pytest.approx(4.08 if preset == "aapt-8b" else 0, abs=0.01)


@pytest.mark.parametrize(
    ("preset", "resolution", "tokens"),
    [
        ("aapt-8b", "416p", 1196),
        ("wan-1.3b", "480p", 1560),
        ("dit-8b", "720p", 3600),
        ("wan-5b", "416p", 299),
        ("wan-5b", "704p", 880),
    ],
)
def test_a_resolution_gives_the_tokens_of_a_latent(preset: str, resolution: str, tokens: int) -> None:
    config = VIDEO_PRESETS[preset].at(RESOLUTIONS[resolution], window=6)
    assert (config.tokens, config.window) == (tokens, 6)
    assert VIDEO_PRESETS[preset].at(RESOLUTIONS[resolution]).window == VIDEO_PRESETS[preset].generator.window


def test_a_resolution_that_does_not_divide_is_refused_with_the_next_that_does() -> None:
    with pytest.raises(InvalidConfigError, match=r"1280×720 does not divide.* 32×32 pixels .*is 1280×704"):
        VIDEO_PRESETS["wan-5b"].at(parse_resolution("720p"))
    with pytest.raises(InvalidConfigError, match="window is 0"):
        VideoPreset(WAN).at(Resolution(64, 64), window=0)
    assert parse_resolution("320x176") == Resolution(320, 176)
    for wrong in ("huge", "0x16", "16"):
        with pytest.raises(InvalidConfigError, match=f"resolution is '{wrong}'"):
            parse_resolution(wrong)


def test_two_streams_without_a_text_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match="streams is 2 and text_dim 0"):
        replace(WAN, streams=2, text_dim=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_of_one_kernel_is_the_norm_by_its_formula(dtype: torch.dtype) -> None:
    norm = RMSNorm(64).to(dtype)
    torch.nn.init.uniform_(norm.weight)
    x = torch.randn(3, 5, 64).to(dtype)
    here, there = norm(x).float(), norm.cuda()(x.cuda()).float().cpu()
    assert float((here - there).detach().abs().max()) < (1e-5 if dtype is torch.float32 else 0.04)
