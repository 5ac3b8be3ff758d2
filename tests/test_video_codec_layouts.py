"""Published video codecs load by renaming and draw what their rules say."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
from avatar_client.errors import InvalidConfigError

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

import taehv_oracle  # noqa: E402
import wan_vae_oracle  # noqa: E402

from avatar_sdk.importers.layout import Layout, Shapes  # noqa: E402
from avatar_sdk.importers.taehv import TAEW2_1, TAEW2_2  # noqa: E402
from avatar_sdk.importers.wan_vae import WAN_VAE  # noqa: E402
from avatar_sdk.model.video.build import VideoCodec, build_codec, codec_shapes  # noqa: E402
from avatar_sdk.model.video.config import VIDEO_CODECS, VideoCodecConfig  # noqa: E402
from avatar_sdk.model.video.streaming import decode_clip, encode_clip  # noqa: E402

TINY = (8, 8, 4, 4)
TAEHVS: dict[str, tuple[Layout, dict[str, Any]]] = {
    "taew2.1": (TAEW2_1, {"width": 8, "widths": TINY}),
    "taew2.2": (TAEW2_2, {"width": 8, "widths": TINY, "z": 48, "patch": 2}),
    "larger": (TAEW2_1, {"width": 8, "widths": TINY, "stored": (2, 2, 4)}),
}
"""Name → layout and sizes; the last stores time convolutions that make more frames than are wanted."""


def weights(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random ones, scaled so that activations neither die nor explode."""
    rng, made = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=rng)
        is_kernel = name.endswith("weight")
        made[name] = noise / prod(shape[1:]) ** 0.5 * 1.3 if is_kernel else 0.1 * noise
        if name.endswith("gamma"):
            made[name] += 1
    return made


def imported(layout: Layout, public: dict[str, torch.Tensor]) -> VideoCodec:
    """What the layout makes of a checkpoint."""
    config = layout.config({name: tuple(t.shape) for name, t in public.items()})
    codec = build_codec(config).eval()
    renamed = {layout.rename(name): t for name, t in public.items()}
    codec.load_state_dict(renamed, strict=True)
    return codec


@torch.no_grad()
def test_a_wan_vae_decodes_as_its_rules_say() -> None:
    public = weights(wan_vae_oracle.public_shapes(width=8))
    latents = torch.randn(2, 4, 16, 3, 4, generator=torch.Generator().manual_seed(1))
    streamed = decode_clip(imported(WAN_VAE, public).decoder, latents, 24, 32)
    whole = wan_vae_oracle.decode(public, latents.transpose(1, 2)).transpose(1, 2)
    assert streamed.shape == (2, 13, 3, 24, 32)
    assert whole.std() > 0.1
    assert (streamed * 2 - 1 - whole).abs().max() <= 1e-4


@torch.no_grad()
def test_a_wan_vae_encodes_as_its_rules_say() -> None:
    public = weights(wan_vae_oracle.public_shapes(width=8))
    pixels = torch.rand(2, 9, 3, 24, 32, generator=torch.Generator().manual_seed(2))
    streamed = encode_clip(imported(WAN_VAE, public).encoder, pixels)
    whole = wan_vae_oracle.encode(public, 2 * pixels.transpose(1, 2) - 1).transpose(1, 2)
    assert streamed.shape == (2, 3, 16, 3, 4)
    assert whole.std() > 0.1
    assert (streamed - whole).abs().max() <= 1e-4


@torch.no_grad()
@pytest.mark.parametrize("name", TAEHVS)
def test_a_taehv_decodes_as_its_rules_say(name: str) -> None:
    layout, sizes = TAEHVS[name]
    public = weights(taehv_oracle.public_shapes(**sizes))
    public["decoder.22.bias"] += 0.5  # so that little is clamped
    patch, z = sizes.get("patch", 1), sizes.get("z", 16)
    latents = torch.randn(2, 4, z, 3, 4, generator=torch.Generator().manual_seed(1))
    streamed = decode_clip(imported(layout, public).decoder, latents, 24 * patch, 32 * patch)
    whole = taehv_oracle.decode(public, latents, patch)
    assert streamed.shape == (2, 13, 3, 24 * patch, 32 * patch)
    assert whole.std() > 0.1
    assert (streamed - whole).abs().max() <= 1e-4


@torch.no_grad()
@pytest.mark.parametrize("name", TAEHVS)
def test_a_taehv_encodes_as_its_rules_say_the_first_frame_four_times(name: str) -> None:
    layout, sizes = TAEHVS[name]
    public, patch = weights(taehv_oracle.public_shapes(**sizes)), sizes.get("patch", 1)
    pixels = torch.rand(2, 9, 3, 24 * patch, 32 * patch, generator=torch.Generator().manual_seed(2))
    streamed = encode_clip(imported(layout, public).encoder, pixels)
    whole = taehv_oracle.encode(public, torch.cat([pixels[:, :1].expand(-1, 3, -1, -1, -1), pixels], 1), patch)
    assert streamed.shape == (2, 3, sizes.get("z", 16), 3, 4)
    assert whole.std() > 0.1
    assert (streamed - whole).abs().max() <= 1e-4


def test_the_published_sizes_come_out_to_the_last_parameter() -> None:
    cases = (
        (WAN_VAE, wan_vae_oracle.public_shapes(), "wan2.1", 194, 126_892_531),
        (TAEW2_1, taehv_oracle.public_shapes(), "taew2.1", 128, 11_315_539),
        (TAEW2_2, taehv_oracle.public_shapes(z=48, patch=2), "taew2.2", 128, 11_418_108),
    )
    for layout, public, preset, tensors, parameters in cases:
        assert (len(public), sum(map(prod, public.values()))) == (tensors, parameters)
        assert layout.config(public) == VIDEO_CODECS[preset]
        expected = layout.expected(VIDEO_CODECS[preset])
        assert {layout.rename(name): shape for name, shape in public.items()} == expected
    decoder = [shape for name, shape in codec_shapes(VIDEO_CODECS["taew2.1"]).items() if name.startswith("decoder.")]
    assert sum(map(prod, decoder)) == 9_844_611


def test_a_checkpoint_matches_its_own_layout_only() -> None:
    public = {
        WAN_VAE: wan_vae_oracle.public_shapes(),
        TAEW2_1: taehv_oracle.public_shapes(),
        TAEW2_2: taehv_oracle.public_shapes(z=48, patch=2),
    }
    for layout in public:
        assert [other for other, shapes in public.items() if layout.matches(shapes)] == [layout]
        assert not layout.matches({"patch_embedding.weight": (1536, 16, 1, 2, 2)})


def test_stored_time_convolutions_may_make_more_frames_than_are_wanted() -> None:
    config = TAEW2_1.config(taehv_oracle.public_shapes(stored=(2, 2, 2)))
    assert isinstance(config, VideoCodecConfig)
    assert config.decoder == config.encoder != VIDEO_CODECS["taew2.1"].decoder
    assert TAEW2_1.expected(config)["decoder.stages.0.grow.weight"] == (512, 256, 1, 1)


@pytest.mark.parametrize("layout", [WAN_VAE, TAEW2_1], ids=lambda layout: layout.name)
def test_an_unknown_weight_keeps_its_name_and_is_found_out(layout: Layout) -> None:
    expected = layout.expected(VIDEO_CODECS[layout.name.replace("-vae", "")])
    for name in ("decoder.99.weight", "decoder.6.weight", "encoder.extra.weight", "lpips.weight", "step"):
        assert layout.rename(name) == name
        assert name not in expected


def test_a_vae_with_other_latents_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"48 latent channels.*16 of Wan 2\.1"):
        WAN_VAE.config(wan_vae_oracle.public_shapes(z=48))


@pytest.mark.parametrize(
    ("layout", "public", "name"),
    [
        (WAN_VAE, wan_vae_oracle.public_shapes(), "conv2.weight"),
        (WAN_VAE, wan_vae_oracle.public_shapes(), "encoder.downsamples.9.residual.2.weight"),
        (TAEW2_1, taehv_oracle.public_shapes(), "decoder.13.conv.weight"),
        (TAEW2_2, taehv_oracle.public_shapes(z=48, patch=2), "encoder.0.weight"),
    ],
)
def test_a_weight_that_tells_a_size_is_named_when_it_is_missing_or_odd(
    layout: Layout, public: Shapes, name: str
) -> None:
    without = {key: shape for key, shape in public.items() if key != name}
    assert layout.matches(without)
    with pytest.raises(InvalidConfigError, match=f"{name} is missing"):
        layout.config(without)
    with pytest.raises(InvalidConfigError, match=rf"{name} is \[7\], not of . dimensions"):
        layout.config({**public, name: (7,)})
