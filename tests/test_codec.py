"""The codec streams, adds nothing while untrained, and its checkpoints tell what they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from safetensors.torch import load_file, save_file  # noqa: E402

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.codec import Decoder  # noqa: E402
from avatar_sdk.model.presets import PRESETS, ModelConfig  # noqa: E402

TEST = PRESETS["test"]


@pytest.fixture
def decoder() -> Decoder:
    """With a last layer that is not zero, so that differences show."""
    decoder = AvatarModel.fresh(TEST, seed=2).decoder.eval()
    torch.nn.init.normal_(decoder.last.weight, std=0.1)
    return decoder


def clip(frames: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    grid, channels = TEST.generator.grid, TEST.generator.latent_channels
    guides = torch.rand(1, frames, 11, TEST.codec.crop_px, TEST.codec.crop_px, generator=rng) * 2 - 1
    return torch.randn(1, frames, channels, grid, grid, generator=rng), guides


@torch.no_grad()
def test_a_streamed_clip_equals_the_whole_clip(decoder: Decoder) -> None:
    latents, guides = clip(4)
    state, streamed = decoder.start(), []
    for f in range(4):
        residual, state = decoder(latents[:, f], guides[:, f], state)
        streamed.append(residual)
    whole = decoder.clip(latents, guides)
    assert (torch.stack(streamed, 1) - whole).abs().max() <= 1e-5 * whole.abs().max().clamp_min(1)


@torch.no_grad()
def test_the_decoder_remembers_but_does_not_foresee(decoder: Decoder) -> None:
    latents, guides = clip(3)
    other = latents.clone()
    other[:, 1] += 1
    a, b = decoder.clip(latents, guides), decoder.clip(other, guides)
    assert torch.equal(a[:, 0], b[:, 0])
    assert not torch.equal(a[:, 2], b[:, 2])


@torch.no_grad()
@pytest.mark.parametrize("preset", ["test", "lite"])
def test_an_untrained_decoder_adds_nothing_and_only_its_last_layer_is_zero(preset: str) -> None:
    model = AvatarModel.fresh(PRESETS[preset])
    g = PRESETS[preset].generator
    residual, _ = model.decoder(
        torch.randn(1, g.latent_channels, g.grid, g.grid), torch.rand(1, 11, 256, 256), model.decoder.start()
    )
    assert residual.shape == (1, 4, 256, 256)
    assert not residual.any()
    zero = [n for n, p in model.named_parameters() if p.dim() > 1 and not p.any()]
    assert zero == ["decoder.last.weight"]


@torch.no_grad()
def test_the_encoder_makes_a_latent_of_the_generators_shape() -> None:
    model = AvatarModel.fresh(TEST)
    g = TEST.generator
    latent = model.encoder(torch.rand(2, 3, 256, 256), torch.rand(2, 3, 256, 256))
    assert latent.shape == (2, g.latent_channels, g.grid, g.grid)


def test_a_checkpoint_carries_its_config_and_stages(tmp_path: Path) -> None:
    path, model = tmp_path / "x.safetensors", AvatarModel.fresh(TEST, seed=3)
    checkpoint.save(path, model, ("codec", "adapt"))
    loaded, header = checkpoint.load(path)
    assert (header.config, header.stages) == (TEST, ("codec", "adapt"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name


def test_a_weight_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, AvatarModel.fresh(TEST))
    tensors = load_file(path)
    header = {
        "format": checkpoint.FORMAT,
        "config": json.dumps(TEST.to_dict()),
        "stages": "[]",
    }
    tensors["decoder.extra"] = tensors.pop("decoder.last.bias")
    tensors["generator.head.weight"] = torch.zeros(3, 3)
    save_file(tensors, path, metadata=header)
    with pytest.raises(InvalidConfigError, match=r"decoder\.last\.bias is missing") as caught:
        checkpoint.load(path)
    assert "decoder.extra is unknown" in str(caught.value)
    assert "generator.head.weight is [3, 3], not" in str(caught.value)


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(InvalidConfigError, match="no checkpoint at"):
        checkpoint.read_header(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InvalidConfigError, match="cannot be read as a checkpoint"):
        checkpoint.read_header(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(InvalidConfigError, match="'nothing'"):
        checkpoint.read_header(path)
    save_file({"x": torch.zeros(1)}, path, metadata={"format": checkpoint.FORMAT, "config": "{", "stages": "[]"})
    with pytest.raises(InvalidConfigError, match=r"header of .* is damaged"):
        checkpoint.read_header(path)


def test_a_trained_codec_needs_a_trained_generator() -> None:
    for fine in ((), ("codec", "adapt"), ("codec", "adapt", "distill", "adversarial")):
        checkpoint.check_stages(fine)
    with pytest.raises(InvalidConfigError, match="python -m training adapt"):
        checkpoint.check_stages(("codec",))


def test_sizes_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match="must agree"):
        ModelConfig(generator=replace(PRESETS["lite"].generator, grid=16))
    with pytest.raises(InvalidConfigError, match="heads"):
        replace(PRESETS["lite"].generator, heads=5)
    with pytest.raises(InvalidConfigError, match="cannot be read"):
        ModelConfig.from_dict({"name": "x", "generator": {"width": 3}, "codec": {}})
