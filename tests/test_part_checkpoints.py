"""A generator's or codec's own checkpoint: what is loaded computes the same, and what is broken is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402
from video_models import CODECS, GENERATOR, codec_of, generator_of, save_part  # noqa: E402

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.checkpoint import PartHeader  # noqa: E402
from avatar_sdk.model.video.streaming import decode_clip, encode_portrait  # noqa: E402
from avatar_sdk.model.weights import is_finite  # noqa: E402


@pytest.mark.parametrize("name", CODECS)
@torch.no_grad()
def test_a_loaded_codec_computes_what_the_saved_one_does(name: str, tmp_path: Path) -> None:
    codec = codec_of(CODECS[name])
    loaded, header = checkpoint.load_codec(save_part(tmp_path / "codec.safetensors", codec, "codec"))
    assert header.part == "codec"
    assert loaded.config == codec.config
    assert not any(t.is_meta for t in (*loaded.parameters(), *loaded.buffers()))
    latents = torch.randn(1, 2, 16, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(decode_clip(loaded.decoder, latents, 32, 48), decode_clip(codec.decoder, latents, 32, 48))
    portrait = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    assert torch.equal(encode_portrait(loaded.encoder, portrait), encode_portrait(codec.encoder, portrait))


def _without(weights: dict[str, Tensor]) -> None:
    weights.pop("decoder.conv_in.bias")


def _unknown(weights: dict[str, Tensor]) -> None:
    weights["extra"] = torch.zeros(1)


def _of_another_shape(weights: dict[str, Tensor]) -> None:
    weights["decoder.conv_in.bias"] = torch.zeros(3)


def _whole_numbers(weights: dict[str, Tensor]) -> None:
    weights["decoder.conv_in.bias"] = torch.zeros(8, dtype=torch.int8)


def _not_a_number(weights: dict[str, Tensor]) -> None:
    weights["decoder.conv_in.bias"] = torch.full((8,), torch.nan)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without, "decoder.conv_in.bias is missing"),
        (_unknown, "extra is unknown"),
        (_of_another_shape, r"decoder.conv_in.bias is \[3\], not \[8\]"),
        (_whole_numbers, "of types other than F32, BF16, F16: decoder.conv_in.bias is I8"),
        (_not_a_number, "NaN or infinite in decoder.conv_in.bias"),
    ],
)
def test_a_broken_codec_is_refused_by_the_weight_at_fault(spoil: object, said: str, tmp_path: Path) -> None:
    codec = codec_of(CODECS["taehv"])
    weights = dict(codec.state_dict())
    spoil(weights)  # type: ignore[operator]
    path = tmp_path / "codec.safetensors"
    save_file(weights, path, metadata=PartHeader("codec", codec.config.to_dict()).to_metadata())
    with pytest.raises(InvalidConfigError, match=said):
        checkpoint.load_codec(path)


def test_a_checkpoint_that_was_cut_off_and_one_of_the_other_part_are_refused(tmp_path: Path) -> None:
    path = save_part(tmp_path / "codec.safetensors", codec_of(CODECS["taehv"]), "codec")
    with pytest.raises(InvalidConfigError, match="holds a codec, not a generator"):
        checkpoint.load_generator(path)
    other = save_part(tmp_path / "generator.safetensors", generator_of(GENERATOR), "generator")
    with pytest.raises(InvalidConfigError, match="holds a generator, not a codec"):
        checkpoint.load_codec(other)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidConfigError, match="cannot be read as a checkpoint"):
        checkpoint.load_codec(path)


def test_a_generator_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    generator = generator_of(GENERATOR)
    generator.head.bias[0] = torch.inf
    with pytest.raises(InvalidConfigError, match=r"NaN or infinite in head\.bias"):
        checkpoint.load_generator(save_part(tmp_path / "g.safetensors", generator, "generator"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_finiteness_is_told_in_every_type(dtype: torch.dtype) -> None:
    weight = torch.arange(6, dtype=torch.float32).to(dtype)
    assert is_finite(weight)
    assert is_finite(weight[:0])
    for value in (torch.nan, torch.inf, -torch.inf):
        weight[3] = value
        assert not is_finite(weight)
