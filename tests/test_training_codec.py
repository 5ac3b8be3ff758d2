"""The codec stage: it learns what the warp gets wrong, and nothing where the latent is empty."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from training.data.batches import Batch  # noqa: E402
from training.patch_discriminator import PatchDiscriminator  # noqa: E402
from training.pixel_losses import composite  # noqa: E402
from training.stages.codec import CodecStage, CodecStageConfig  # noqa: E402
from training.windows import face_windows  # noqa: E402


def batch_of(clips: int = 2, seed: int = 0) -> Batch:
    """A grey warp whose mouth should be brighter, by more or less."""
    rng = np.random.default_rng(seed)
    guide = torch.full((clips, 2, 11, 256, 256), 100, dtype=torch.uint8)
    guide[:, :, 3:] = 0
    guide[:, :, 5, 130:170, 100:160] = 255
    truth = guide[:, :, :3].clone()
    for row in range(clips):
        truth[row, :, :, 130:170, 100:160] = int(rng.choice([180, 240]))
    return Batch(truth, guide, torch.full((clips, 2, 256, 256), 255, dtype=torch.uint8), guide[:, 0])


def stage(**changes: object) -> CodecStage:
    return CodecStage(AvatarModel.fresh(PRESETS["test"]), CodecStageConfig(**{"window_px": 64, **changes}))


def test_reconstruction_gets_nearer_than_the_warp() -> None:
    trained, rng = stage(lr=5e-3, window_px=128, settle=1000), torch.Generator().manual_seed(0)
    for step in range(40):
        trained.step(batch_of(2, seed=step), step, rng)
    batch, model = batch_of(2, seed=1), trained.model
    mouth = (slice(None), slice(None), slice(None), slice(130, 170), slice(100, 160))
    warp = batch.guide()[:, :, :3]
    with torch.no_grad():
        latent = model.encoder(batch.truth().flatten(0, 1), warp.flatten(0, 1)).unflatten(0, (2, 2))
        picture = composite(batch.guide(), batch.gate(), model.decoder.clip(latent, batch.guide()))
    error, before = ((x - batch.truth()).abs()[mouth].mean() for x in (picture, warp))
    assert error < 0.7 * before


def test_the_same_seed_trains_the_same_codec() -> None:
    curves = []
    for _ in range(2):
        torch.manual_seed(0)
        trained, rng = stage(adversarial_from=1), torch.Generator().manual_seed(1)
        curves.append([float(trained.step(batch_of(), step, rng)["loss"]) for step in range(3)])
    assert curves[0] == curves[1]


def test_a_fresh_codec_shows_the_warp() -> None:
    fresh, batch = stage(), batch_of()
    residual = fresh.model.decoder.clip(torch.randn(2, 2, 4, 4, 4), batch.guide())
    torch.testing.assert_close(composite(batch.guide(), batch.gate(), residual), batch.guide()[:, :, :3])


def test_windows_lie_on_the_latent_grid_and_usually_show_the_mouth() -> None:
    rng, seen = torch.Generator().manual_seed(0), []
    for _ in range(200):
        window = face_windows(batch_of(1), 64, rng)
        assert window.guide.shape[-2:] == (64, 64)
        seen.append(bool((window.guide[:, :, 5] > 0).any()))
    assert np.mean(seen) > 0.4


def test_the_discriminator_plays_from_its_step_on() -> None:
    trained, rng = stage(adversarial_from=1), torch.Generator().manual_seed(0)
    before = [p.clone() for p in trained.networks["discriminator"].parameters()]
    assert "game" not in trained.step(batch_of(), 0, rng)
    assert all(torch.equal(a, b) for a, b in zip(before, trained.networks["discriminator"].parameters(), strict=True))
    assert "game" in trained.step(batch_of(), 1, rng)
    assert any(
        not torch.equal(a, b) for a, b in zip(before, trained.networks["discriminator"].parameters(), strict=True)
    )


def test_the_discriminator_has_a_logit_per_patch_of_eight_pixels() -> None:
    judge, picture = PatchDiscriminator(3), torch.rand(2, 3, 32, 32)
    assert judge(picture, picture).shape == (2, 1, 4, 4)


def test_the_product_shares_nothing_with_what_is_trained() -> None:
    trained, rng = stage(), torch.Generator().manual_seed(0)
    product = trained.product()
    before = product.decoder.last.weight.clone()
    for step in range(4):
        trained.step(batch_of(4, seed=step), step, rng)
    assert torch.equal(product.decoder.last.weight, before)
    assert not torch.equal(trained.model.decoder.last.weight, before)
