"""What a network adds goes where the gate lets it, and nothing is exactly nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar_sdk.warp import CROP_PX, WarpedFrame, composite

LOGIT_OPEN, LOGIT_SHUT = 30.0, -30.0


def frame(gate: NDArray[np.uint8] | int = 255, scale: float = 0.5, offset: float = 8.0) -> WarpedFrame:
    """A noisy 640×512 picture whose crop covers 512×512 pixels of it."""
    generator = np.random.default_rng(0)
    return WarpedFrame(
        image=generator.integers(0, 256, (512, 640, 3), np.uint8),
        crop=np.zeros((CROP_PX, CROP_PX, 3), np.uint8),
        maps=np.zeros((8, CROP_PX, CROP_PX), np.uint8),
        gate=np.full((CROP_PX, CROP_PX), gate, np.uint8) if isinstance(gate, int) else gate,
        crop_affine=np.array([[scale, 0, -offset], [0, scale, 0]], np.float32),
    )


def residual(delta: float, logit: float) -> NDArray[np.float32]:
    values = np.full((CROP_PX, CROP_PX, 4), delta, np.float32)
    values[..., 3] = logit
    return values


@pytest.mark.parametrize("logit", [LOGIT_SHUT, 0.0, LOGIT_OPEN])
def test_a_delta_of_zero_changes_nothing(logit: float) -> None:
    warped = frame()
    out = composite(warped, residual(0.0, logit))
    np.testing.assert_array_equal(out, warped.image)
    assert out is not warped.image


def test_a_shut_gate_lets_nothing_pass() -> None:
    warped = frame(gate=0)
    np.testing.assert_array_equal(composite(warped, residual(1.0, LOGIT_OPEN)), warped.image)


def test_a_shut_mask_lets_nothing_pass() -> None:
    warped = frame()
    np.testing.assert_array_equal(composite(warped, residual(1.0, LOGIT_SHUT)), warped.image)


def test_an_open_gate_adds_the_whole_delta_inside_the_crop_only() -> None:
    warped = frame()
    out = composite(warped, residual(0.2, LOGIT_OPEN)).astype(int)
    expected = np.minimum(warped.image.astype(int) + 51, 255)
    inside = np.zeros((512, 640), bool)
    inside[:510, 17:526] = True
    np.testing.assert_allclose(out[inside], expected[inside], atol=1)
    np.testing.assert_array_equal(out[:, 530:], warped.image[:, 530:])
    np.testing.assert_array_equal(out[:, :15], warped.image[:, :15])


def test_half_a_mask_adds_half_the_delta() -> None:
    warped = frame()
    out = composite(warped, residual(-0.2, 0.0)).astype(int)
    expected = np.maximum(warped.image[100, 100:200].astype(int) - 25.5, 0)
    np.testing.assert_allclose(out[100, 100:200], expected, atol=1)


def test_a_change_lands_where_the_crop_was_taken() -> None:
    warped = frame()
    values = residual(0.0, LOGIT_OPEN)
    values[60:64, 100:104, :3] = 0.5
    out = composite(warped, values).astype(int)
    rows, columns = np.nonzero(np.abs(out - warped.image).max(-1) > 10)
    assert rows.mean() == pytest.approx(61.5 / 0.5, abs=1.5)
    assert columns.mean() == pytest.approx((101.5 + 8) / 0.5, abs=1.5)


def test_a_crop_outside_the_picture_is_no_error() -> None:
    warped = frame(offset=4000.0)
    np.testing.assert_array_equal(composite(warped, residual(1.0, LOGIT_OPEN)), warped.image)
