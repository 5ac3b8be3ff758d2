"""What each loss on pictures asks for, and what it lets pass."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from training.pixel_losses import (  # noqa: E402
    evened,
    gradient_loss,
    harm,
    motion_loss,
    texture_loss,
    weighted_l1,
)

CLIP = (1, 4, 3, 32, 32)


@pytest.fixture
def truth() -> Tensor:
    return torch.rand(CLIP, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def weight() -> Tensor:
    return torch.ones(1, 4, 1, 32, 32)


def blurred(clip: Tensor) -> Tensor:
    return F.avg_pool2d(clip.flatten(0, 1), 3, 1, 1).unflatten(0, clip.shape[:2])


def test_losses_vanish_on_the_truth(truth: Tensor, weight: Tensor) -> None:
    for loss in (weighted_l1, gradient_loss, texture_loss, motion_loss):
        assert loss(truth, truth, weight) == 0


def test_texture_prefers_detail_in_the_wrong_place_to_blur_where_pixels_prefer_blur(
    truth: Tensor, weight: Tensor
) -> None:
    misplaced, blur = truth.roll(2, -1), blurred(truth)
    assert texture_loss(misplaced, truth, weight) < 0.3 * texture_loss(blur, truth, weight)
    assert weighted_l1(misplaced, truth, weight) > weighted_l1(blur, truth, weight)


def test_texture_wants_no_more_detail_than_there_is(truth: Tensor, weight: Tensor) -> None:
    assert texture_loss(1.5 * truth, truth, weight) > texture_loss(1.1 * truth, truth, weight) > 0


def test_texture_counts_where_the_weight_lies(truth: Tensor, weight: Tensor) -> None:
    half = truth.clone()
    half[..., :16] = blurred(truth)[..., :16]
    left, right = weight.clone(), weight.clone()
    left[..., 20:], right[..., :20] = 0, 0
    assert texture_loss(half, truth, left) > 10 * texture_loss(half, truth, right)


def test_motion_forgives_a_constant_error_but_neither_trembling_nor_standing_still(
    truth: Tensor, weight: Tensor
) -> None:
    assert motion_loss(truth + 0.3, truth, weight) < 1e-6
    assert motion_loss(truth[:, :1].expand_as(truth), truth, weight) > 0.1
    still = truth[:, :1].expand_as(truth)
    trembling = still + 0.1 * torch.tensor([0.0, 1.0, 0.0, 1.0]).view(1, 4, 1, 1, 1)
    assert motion_loss(trembling, still, weight) == pytest.approx(0.1, abs=1e-6)


def test_harm_counts_only_what_is_further_from_the_truth_than_the_warp(truth: Tensor, weight: Tensor) -> None:
    guide = torch.cat([truth + 0.2, torch.zeros(1, 4, 8, 32, 32)], 2)
    assert harm(truth + 0.1, truth, guide, weight) == 0
    assert harm(truth + 0.3, truth, guide, weight) == pytest.approx(0.1, abs=1e-6)


def test_evened_clips_weigh_more_the_better_their_warp_is(truth: Tensor, weight: Tensor) -> None:
    near, far = (torch.cat([truth + by, torch.zeros(1, 4, 8, 32, 32)], 2) for by in (0.02, 0.3))
    both = evened(weight.expand(2, -1, -1, -1, -1), torch.cat([near, far]), torch.cat([truth, truth]))
    assert both[0].mean() > 3 * both[1].mean()
