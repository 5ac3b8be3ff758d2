"""The discriminator: what its logits see, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from training_clips import CONFIG  # noqa: E402

from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from training.discriminator import Discriminator, Kind  # noqa: E402
from training.losses import penalty, relativistic  # noqa: E402
from training.scene import Scene  # noqa: E402

SIZE = CONFIG.generator
ROWS, FRAMES = 2, 7


def judge(kind: Kind) -> Discriminator:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return Discriminator(AvatarModel.fresh(CONFIG, seed=1), kind)


@pytest.fixture(scope="module")
def told() -> tuple[Any, ...]:
    """Latents, guides, scene and times."""
    rng = torch.Generator().manual_seed(0)
    latent = torch.randn(ROWS, FRAMES, SIZE.latent_channels, SIZE.grid, SIZE.grid, generator=rng)
    guide = torch.rand(ROWS, FRAMES, 11, 64, 64, generator=rng) * 2 - 1
    return latent, guide, Scene(guide[:, 0]), torch.rand(ROWS, generator=rng)


@torch.no_grad()
def test_a_causal_logit_sees_its_frame_and_the_past_only(told: tuple[Any, ...]) -> None:
    latent, *rest = told
    changed = torch.cat([latent[:, :4], -latent[:, 4:]], 1)
    before, after = judge("causal")((latent, changed), *rest)
    assert before.shape == (ROWS, FRAMES)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-4)


@torch.no_grad()
def test_causal_logits_of_a_shorter_clip_are_the_same(told: tuple[Any, ...]) -> None:
    latent, guide, scene, t_B = told
    one = judge("causal")
    (short,) = one((latent[:, :3],), guide[:, :3], scene, t_B)
    (whole,) = one((latent,), guide, scene, t_B)
    assert torch.allclose(short, whole[:, :3], atol=1e-5)


def test_every_frame_sees_every_other_in_a_bidirectional_one(told: tuple[Any, ...]) -> None:
    one = judge("bidirectional")
    seen: list[torch.Tensor] = []
    one.logit.register_forward_hook(lambda *args: seen.append(args[2].mean(2)))
    latent = told[0].clone().requires_grad_(True)
    assert one((latent,), *told[1:])[0].shape == (ROWS, 1)
    seen[0][:, 0].sum().backward()  # what the first frame adds to the logit
    assert latent.grad is not None
    assert bool((latent.grad.abs().sum((0, 2, 3, 4)) > 0).all())


@torch.no_grad()
@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
@pytest.mark.parametrize("what", [0, 1, 2, 3])
def test_everything_it_is_told_matters(told: tuple[Any, ...], kind: Kind, what: int) -> None:
    one = judge(kind)
    latent, guide, scene, t_B = told
    others = (-latent, -guide, Scene(-scene.portrait), -t_B)
    changed = [other if i == what else x for i, (x, other) in enumerate(zip(told, others, strict=True))]
    (a,), (b,) = (one((latent,), *rest) for latent, *rest in (told, changed))
    assert not torch.allclose(a, b, atol=1e-6)


def test_it_begins_with_the_weights_of_the_generator_and_leaves_them_alone(told: tuple[Any, ...]) -> None:
    model = AvatarModel.fresh(CONFIG, seed=1)
    kept = [w.clone() for w in model.parameters()]
    one = Discriminator(model, "causal")
    assert torch.equal(one.trunk.blocks[0].self_attn.q.weight, model.generator.blocks[0].self_attn.q.weight)
    one(told[:1], *told[1:])[0].sum().backward()
    assert all(w.grad is None for w in model.parameters())
    torch.optim.SGD(one.parameters(), 1.0).step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), kept, strict=True))


@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
def test_it_learns_to_tell_a_still_clip_from_a_moving_one(told: tuple[Any, ...], kind: Kind) -> None:
    moving, *rest = told
    still = moving[:, :1].expand_as(moving)
    one = judge(kind)
    optimiser = torch.optim.Adam(one.parameters(), 3e-3, (0.0, 0.9))
    losses = []
    for _ in range(12):
        loss = relativistic(*one((moving, still), *rest))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
def test_judging_several_at_once_changes_nothing(told: tuple[Any, ...], kind: Kind) -> None:
    latent, *rest = told
    one = judge(kind)
    together = one((latent, -latent), *rest)
    apart = (one((x,), *rest)[0] for x in (latent, -latent))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(together, apart, strict=True))


def test_the_penalty_is_the_squared_slope_times_the_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    slope, noise = torch.randn(50, generator=rng), 0.1 * torch.randn(4000, 50, generator=rng)
    measured = penalty(torch.zeros(4000), noise @ slope)
    assert float(measured) == pytest.approx(float(0.01 * slope.square().sum()), rel=0.1)


def test_who_looks_more_real_than_its_pair_pays_less() -> None:
    own, other = torch.tensor([2.0, 2.0]), torch.tensor([0.0, 0.0])
    assert relativistic(own, other) < relativistic(own, own) < relativistic(other, own)
    assert float(relativistic(own, own)) == pytest.approx(0.6931, abs=1e-4)
