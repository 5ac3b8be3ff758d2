"""The batched runtime on a GPU: graphs replay what the eager step computes, and a tick waits once."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray

from avatar_sdk.motion import Motion, Retargeter
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait

torch = pytest.importorskip("torch", reason="the batched runtime needs torch; install the extra `train` or `gpu`")

from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.cache import KV  # noqa: E402
from avatar_sdk.model.layers import attend  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from avatar_sdk.runtime.torch.attention import BACKENDS, FLASH, Attention, choose_attention  # noqa: E402
from avatar_sdk.runtime.torch.batch import BatchRuntime  # noqa: E402
from avatar_sdk.runtime.torch.config import BatchConfig  # noqa: E402
from avatar_sdk.runtime.torch.device import StageClock, peak_bytes  # noqa: E402

SIDE = 128
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def portrait(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(SIDE, SIDE))


@pytest.fixture(scope="module")
def motions(portrait: Portrait, sample_poses: Path) -> list[Motion]:
    retargeter = Retargeter(portrait.landmarks)
    state = retargeter.start()
    poses = PoseReader(sample_poses)
    return [retargeter.step(state, poses[5 * k], 41_667 * k) for k in range(8)]


def runtime(device: str, slots: int = 4, preset: str = "test", **changes: object) -> BatchRuntime:
    model = AvatarModel.fresh(PRESETS[preset], seed=5)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    config = BatchConfig(slots, device, SIDE, SIDE)
    return BatchRuntime(model, replace(config, **changes))  # type: ignore[arg-type]


def streams(batch: BatchRuntime, portrait: Portrait, motions: list[Motion], sessions: int) -> NDArray[np.uint8]:
    """(frames, sessions, H, W, 3)."""
    seats = [batch.open(portrait, seed) for seed in range(sessions)]
    shown = []
    for k in range(len(motions)):
        tick = batch.tick({seat: motions[(k + i) % len(motions)] for i, seat in enumerate(seats)})
        shown.append(np.stack([tick.images[seat] for seat in seats]))
    return np.stack(shown)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("sessions", [1, 3])
def test_a_replayed_graph_shows_what_the_eager_step_shows(
    sessions: int, portrait: Portrait, motions: list[Motion]
) -> None:
    captured, eager = (streams(runtime("cuda", graphs=graphs), portrait, motions, sessions) for graphs in (True, False))
    assert np.abs(captured.astype(int) - eager).max() <= 1


@pytest.mark.gpu
@needs_cuda
def test_a_gpu_shows_what_a_cpu_shows(portrait: Portrait, motions: list[Motion]) -> None:
    there, here = (streams(runtime(device), portrait, motions, 2).astype(int) for device in ("cuda", "cpu"))
    assert np.abs(there - here).mean() <= 1.0


@pytest.mark.gpu
@needs_cuda
def test_a_tick_waits_for_the_device_once(
    portrait: Portrait, motions: list[Motion], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = runtime("cuda")
    seats = [batch.open(portrait, seed) for seed in range(3)]
    batch.tick(dict.fromkeys(seats, motions[0]))
    waits = []
    plain = torch.cuda.Event.synchronize

    def counted(event: torch.cuda.Event) -> None:
        waits.append(event)
        plain(event)

    monkeypatch.setattr(torch.cuda.Event, "synchronize", counted)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for motion in motions:
            batch.tick(dict.fromkeys(seats, motion))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) == len(motions)


@pytest.mark.gpu
@needs_cuda
def test_a_broken_motion_a_lost_memory_and_a_closed_session_touch_nobody(
    portrait: Portrait, motions: list[Motion]
) -> None:
    sick, well = runtime("cuda"), runtime("cuda")
    seats = [sick.open(portrait, seed) for seed in range(4)]
    others = [well.open(portrait, seed) for seed in range(4)]
    landmarks = motions[2].landmarks.copy()
    landmarks[5] = np.nan
    for k, motion in enumerate(motions[:6]):
        given = dict.fromkeys(seats, motion)
        if k == 2:
            given[seats[1]] = replace(motion, landmarks=landmarks)
            sick.network.memory.latent[seats[2].slot] = torch.nan
            sick.close(seats[3])
            well.close(others[3])
        shown = sick.tick(given)
        expected = well.tick(dict.fromkeys(others, motion)).images[others[0]]
        assert np.abs(shown.images[seats[0]].astype(int) - expected).max() <= 1
        assert shown.lost == ((seats[2],) if k >= 2 else ())


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_fastest_attention_is_chosen_by_asking(precision: str) -> None:
    batch = runtime("cuda", slots=8, preset="lite", precision=precision)
    asked = batch.attention.measured_us
    assert set(asked) <= {*BACKENDS, FLASH}
    assert batch.attention.name == min(asked, key=lambda name: asked[name])
    assert peak_bytes("cuda")


@pytest.mark.gpu
@needs_cuda
def test_stages_are_timed_on_the_device(portrait: Portrait, motions: list[Motion]) -> None:
    batch = runtime("cuda")
    seat = batch.open(portrait)
    clock = StageClock("cuda")
    batch.tick({seat: motions[0]}, clock.mark)
    spent = clock.spent_ms()
    assert set(spent) == {"warp", "generator", "decode", "composite"}
    assert all(stage_ms > 0 for stage_ms in spent.values())


def test_on_a_cpu_nothing_is_asked_and_pytorch_decides() -> None:
    attention = choose_attention(PRESETS["test"].generator, 2, "cpu", torch.float32)
    assert attention == Attention("default", {})


@pytest.mark.parametrize("frame", [0, 2, 9])
def test_flash_attention_sees_the_sink_the_filled_slots_and_the_frame_itself(
    frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a plain flash_attn in its place, in its layout (rows, keys, heads, width) and with its lengths."""

    def plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cache_seqlens: torch.Tensor) -> torch.Tensor:
        rows = []
        for row, length in enumerate(cache_seqlens.tolist()):
            scores = torch.einsum("qhk,nhk->hqn", q[row].float(), k[row, :length].float()) / q.shape[-1] ** 0.5
            rows.append(torch.einsum("hqn,nhk->qhk", scores.softmax(-1), v[row, :length].float()))
        return torch.stack(rows).to(q.dtype)

    package = types.ModuleType("flash_attn")
    package.flash_attn_with_kvcache = plain  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    from avatar_sdk.model.inputs import slot_bias

    g = PRESETS["test"].generator
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, g.heads, count * g.tokens, g.head_dim) for count in (1, 1, g.window, 1)]
    q, *keys = (torch.randn(shape, generator=generator).bfloat16().float() for shape in shapes)
    values = [torch.randn(shape, generator=generator).bfloat16().float() for shape in shapes[1:]]
    bias = torch.from_numpy(slot_bias(g, frame)).expand(2, -1)
    masked = bias[:, :, None].expand(-1, -1, g.tokens).flatten(1)[:, None, None]
    joined = KV(tuple(keys), tuple(values), torch.zeros(2, 1, dtype=torch.int64), joined=True)
    expected = attend(q, joined, masked)
    flash = joined._replace(kernel=Attention(FLASH).kernel(bias, g.tokens))
    assert float((attend(q, flash, masked).float() - expected).abs().max()) < 0.02
