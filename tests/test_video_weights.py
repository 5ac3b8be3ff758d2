"""What does not fit a device, a preset or a codec is refused before anything is allocated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from avatar_client.errors import InvalidConfigError, MissingDependencyError

torch = pytest.importorskip("torch", reason="the runtime needs torch; install the extra `train` or `gpu`")

from video_models import CODECS, GENERATOR, codec_of, generator_of, random_clip, save_part  # noqa: E402

from avatar_sdk.model.generator import generator_shapes  # noqa: E402
from avatar_sdk.model.video.config import VIDEO_CODECS  # noqa: E402
from avatar_sdk.model.video.streaming import decode_clip, encode_clip  # noqa: E402
from avatar_sdk.model.video_presets import RESOLUTIONS, VIDEO_PRESETS, Resolution  # noqa: E402
from avatar_sdk.runtime.torch.config import check_device  # noqa: E402
from avatar_sdk.runtime.torch.video import weights  # noqa: E402
from avatar_sdk.runtime.torch.video.config import VideoConfig  # noqa: E402
from avatar_sdk.runtime.torch.video.fidelity import precision_error, trace  # noqa: E402
from avatar_sdk.runtime.torch.video.memory import GIB, cache_bytes, check_video_memory, video_memory  # noqa: E402
from avatar_sdk.runtime.torch.video.stream import VideoStream  # noqa: E402
from avatar_sdk.runtime.torch.video.weights import channels_last, load_parts, placed, random_parts  # noqa: E402

SIZE = Resolution(48, 32)
FLOAT = VideoConfig(precision="float32")
HALF = VideoConfig()


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    generator = save_part(tmp_path / "g.safetensors", generator_of(GENERATOR), "generator", preset="wan-1.3b")
    return generator, save_part(tmp_path / "c.safetensors", codec_of(CODECS["taehv"]), "codec")


def test_parts_are_loaded_at_another_size_and_in_fewer_bits(parts: tuple[Path, Path]) -> None:
    generator, codec = load_parts(*parts, Resolution(80, 64), HALF, window=2, preset="wan-1.3b")
    assert (generator.config.grid_shape, generator.config.window) == ((4, 5), 2)
    assert generator.blocks[0].ffn[0].weight.dtype is torch.bfloat16
    assert generator.blocks[0].modulation.dtype is torch.float32
    assert next(codec.parameters()).dtype is torch.bfloat16


def test_what_does_not_fit_is_named(parts: tuple[Path, Path], tmp_path: Path) -> None:
    generator, codec = parts
    with pytest.raises(InvalidConfigError, match=r"holds a generator of wan-1\.3b, not wan-14b"):
        load_parts(*parts, SIZE, FLOAT, preset="wan-14b")
    with pytest.raises(InvalidConfigError, match="50×32 does not divide into tokens of 16×16"):
        load_parts(*parts, Resolution(50, 32), FLOAT)
    with pytest.raises(InvalidConfigError, match="window is 0"):
        load_parts(*parts, SIZE, FLOAT, window=0)
    with pytest.raises(InvalidConfigError, match="holds a codec, not a generator"):
        load_parts(codec, codec, SIZE, FLOAT)
    with pytest.raises(InvalidConfigError, match="are free"):
        load_parts(*parts, SIZE, FLOAT, free=1000)
    wide = codec_of(
        replace(
            CODECS["taehv"],
            encoder=replace(CODECS["taehv"].encoder, latent_channels=48),
            decoder=replace(CODECS["taehv"].decoder, latent_channels=48),
        )
    )
    with pytest.raises(InvalidConfigError, match="latents have 16 channels, the codec's 48"):
        load_parts(generator, save_part(tmp_path / "w.safetensors", wide, "codec"), SIZE, FLOAT)
    pinned = generator_of(replace(GENERATOR, condition_channels=8))
    with pytest.raises(InvalidConfigError, match="condition has 8 channels, the codec makes 16"):
        load_parts(save_part(tmp_path / "p.safetensors", pinned, "generator"), codec, SIZE, FLOAT)


def test_a_broken_checkpoint_is_refused_after_all_that_needs_no_weights(parts: tuple[Path, Path]) -> None:
    generator, codec = parts
    generator.write_bytes(generator.read_bytes()[:-4])
    with pytest.raises(InvalidConfigError, match="cannot be read as a checkpoint"):
        load_parts(generator, codec, SIZE, FLOAT)


def test_a_missing_device_is_said_before_anything_else() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(MissingDependencyError, match="no CUDA device for 'cuda'"):
            check_device("cuda")
    with pytest.raises(InvalidConfigError, match="precision is 'int4'"):
        VideoConfig(precision="int4")


def test_too_little_memory_names_what_is_needed_and_what_fits() -> None:
    at = VIDEO_PRESETS["aapt-8b"].at(RESOLUTIONS["416p"], 30)
    codec = VIDEO_CODECS["taew2.1"]

    def check(free: float) -> None:
        check_video_memory("aapt-8b", at, codec, RESOLUTIONS["416p"], HALF, int(free * GIB))

    check(80)
    with pytest.raises(
        InvalidConfigError, match=r"aapt-8b at 736×416 with a window of 30 needs .* a window of \d+ latents"
    ):
        check(30)
    with pytest.raises(InvalidConfigError, match=r"with their own windows wan-1\.3b would fit"):
        check(12)
    with pytest.raises(InvalidConfigError, match="no preset fits at this resolution"):
        check(1)


def test_memory_is_counted_as_the_reference_says() -> None:
    """17 GB of keys and values for the 8B at 736×416 and 30 latents; both streams' weights in bfloat16."""
    config = VIDEO_PRESETS["aapt-8b"].at(RESOLUTIONS["416p"], 30)
    assert cache_bytes(config, torch.bfloat16) / 1e9 == pytest.approx(17.0, rel=0.01)
    memory = video_memory(config, VIDEO_CODECS["taew2.1"], RESOLUTIONS["416p"], HALF)
    assert memory.generator / 1e9 == pytest.approx(16.6, rel=0.02)
    assert cache_bytes(config, torch.bfloat16, devices=8) * 8 == cache_bytes(config, torch.bfloat16)
    lowered = video_memory(
        config, VIDEO_CODECS["taew2.1"], RESOLUTIONS["416p"], replace(HALF, fp8=True, fp8_cache=True)
    )
    assert lowered.generator < 0.77 * memory.generator
    assert lowered.cache == pytest.approx(132 / 256 * memory.cache)


@pytest.mark.parametrize("how", [HALF, replace(HALF, fp8=True)])
def test_random_weights_are_the_size_that_was_counted(how: VideoConfig) -> None:
    generator, codec = random_parts(GENERATOR, CODECS["wan"], how)
    counted = video_memory(GENERATOR, CODECS["wan"], SIZE, how)
    held = sum(t.numel() * t.element_size() for t in (*generator.parameters(), *generator.buffers()))
    assert held == pytest.approx(counted.generator, rel=0.12 if how.fp8 else 1e-6)  # scales beside small matrices
    assert sum(p.numel() * p.element_size() for p in codec.parameters()) == counted.codec
    assert set(generator_shapes(GENERATOR)) == set(generator.state_dict()) or how.fp8
    assert bool((codec.decoder.std > 0).all())
    same, _ = random_parts(GENERATOR, CODECS["wan"], how)
    assert torch.equal(same.head.weight, generator.head.weight)


@torch.no_grad()
@pytest.mark.parametrize("name", CODECS)
def test_the_order_in_which_kernels_lie_changes_no_picture(name: str) -> None:
    codec, ordered = codec_of(CODECS[name]), codec_of(CODECS[name])
    channels_last(ordered)
    rng = torch.Generator().manual_seed(0)
    latents, clip = torch.randn(1, 3, 16, 4, 6, generator=rng), torch.rand(1, 9, 3, 32, 48, generator=rng)
    drawn, again = (decode_clip(part.decoder, latents, 32, 48) for part in (codec, ordered))
    assert torch.allclose(drawn, again, atol=1e-5)
    made, once_more = (encode_clip(part.condition, clip) for part in (codec, ordered))
    assert torch.allclose(made, once_more, atol=1e-4)


@pytest.mark.timeout(600)  # tracing is slow on a busy machine
def test_blocks_are_compiled_whole_and_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three shapes: what the portrait goes through, a window that fills, and a full one. Traced, then run as it is."""
    monkeypatch.setattr(weights, "COMPILER", "eager")
    counters = torch._dynamo.utils.counters
    torch._dynamo.reset()
    counters.clear()
    deep = replace(GENERATOR, depth=4)

    def stream(compiled: bool) -> VideoStream:
        how = replace(FLOAT, compiled=compiled)
        return VideoStream(*placed(generator_of(deep), codec_of(CODECS["taehv"]), how), SIZE, how)

    error = precision_error(*(trace(stream(compiled), *random_clip(SIZE, 6)) for compiled in (False, True)))
    torch._dynamo.reset()
    assert error.last < 1e-5
    assert counters["stats"]["unique_graphs"] == 3
    assert not counters["graph_break"]
