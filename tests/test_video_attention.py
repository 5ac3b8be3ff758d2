"""The kernel of a large generator: whichever is taken, it sees the same keys."""

from __future__ import annotations

import sys
import types

import pytest

torch = pytest.importorskip("torch", reason="the runtime needs torch; install the extra `train` or `gpu`")

from torch import Tensor  # noqa: E402
from video_models import GENERATOR  # noqa: E402

from avatar_sdk.runtime.torch.video.attention import (  # noqa: E402
    DEFAULT,
    PACKAGES,
    UNMASKED,
    VideoAttention,
    attend,
    choose_video_attention,
)
from avatar_sdk.runtime.torch.video.ring import Rings  # noqa: E402

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
HEADS, TOKENS, KEYS, WIDTH = 2, 6, 30, 16


def drawn() -> tuple[Tensor, ...]:
    """Queries, keys and values as they lie in a ring: heads behind places."""
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.randn(1, count, HEADS, WIDTH, generator=rng).transpose(1, 2) for count in (TOKENS, KEYS, KEYS))


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, seen: int = KEYS) -> Tensor:
    scores = q @ k[:, :, :seen].transpose(-1, -2) / WIDTH**0.5
    return scores.softmax(-1) @ v[:, :, :seen]


@pytest.mark.parametrize("name", [DEFAULT, "math"])
def test_a_full_window_needs_no_mask_and_a_filling_one_hides_its_empty_slots(name: str) -> None:
    q, k, v = drawn()
    assert torch.allclose(attend(name, q, k, v, None), softmax_attention(q, k, v), atol=1e-5)
    rings = Rings(GENERATOR, "cpu", torch.float32, False, VideoAttention())
    for index in range(GENERATOR.window + 3):
        slot, seen = rings.at(index)
        rings.turn_to(torch.tensor(slot), torch.tensor(seen))
        assert rings.mask is not None
        assert int((rings.mask == 0).sum()) == seen
        assert rings.rows[0] == rings.ahead + (1 + slot) * GENERATOR.tokens
        assert torch.allclose(attend(name, q, k, v, rings.mask), softmax_attention(q, k, v, seen), atol=1e-5)
    assert seen == rings.length == KEYS


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("with_weights", [True, False])
def test_flash_attention_is_called_in_its_own_order_of_axes(
    name: str, with_weights: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain one in its place, in its layout (rows, places, heads, width); some versions return more."""

    def plain(q: Tensor, k: Tensor, v: Tensor) -> object:
        assert q.shape == (1, TOKENS, HEADS, WIDTH)
        mixed = softmax_attention(*(part.transpose(1, 2) for part in (q, k, v))).transpose(1, 2)
        return (mixed, None) if with_weights else mixed

    for module in {PACKAGES[name], PACKAGES[name].partition(".")[0]}:
        package = types.ModuleType(module)
        package.__path__ = []  # type: ignore[attr-defined]
        package.flash_attn_func = plain  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module, package)
    q, k, v = drawn()
    assert torch.allclose(attend(name, q, k, v, None), softmax_attention(q, k, v), atol=1e-5)


def test_on_a_cpu_nothing_is_asked() -> None:
    assert choose_video_attention(2, 6, 30, 16, "cpu", torch.float32) == VideoAttention()


@pytest.mark.gpu
@needs_cuda
def test_the_fastest_kernel_of_each_kind_is_chosen_by_asking() -> None:
    chosen = choose_video_attention(12, 1560, 23 * 1560, 128, "cuda", torch.bfloat16)
    asked = {name: spent for name, spent in chosen.measured_us.items() if not name.endswith(", masked")}
    assert set(asked) <= {*UNMASKED, *PACKAGES}
    assert chosen.full == min(asked, key=lambda name: asked[name])
    assert f"{chosen.warming}, masked" in chosen.measured_us
