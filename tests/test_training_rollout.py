"""The student's walk: what a frame sees, where gradients go, and what it costs."""

from __future__ import annotations

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from training_clips import CONFIG, drawn_batch  # noqa: E402

from avatar_sdk.model.avatar import AvatarModel, one_step  # noqa: E402
from avatar_sdk.model.cache import RingCache  # noqa: E402
from training.rollout import RolloutConfig, RolloutState, roll, spans  # noqa: E402
from training.teacher import before, whole_clip  # noqa: E402
from training.walk import student_walk, teacher_walk  # noqa: E402

SIZE = CONFIG.generator
ROWS = 2
WALK = RolloutConfig()


@pytest.fixture
def model() -> AvatarModel:
    return AvatarModel.fresh(CONFIG, seed=1)


def planes(frames: int, channels: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, frames, channels, SIZE.grid, SIZE.grid, generator=rng)


def inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Condition and noise."""
    return planes(frames, SIZE.condition_channels, 3), planes(frames, SIZE.latent_channels, 4)


def sinks_of(model: AvatarModel) -> list:
    return model.generator.sink(planes(1, SIZE.condition_channels, 5)[:, 0])


def rolled(model: AvatarModel, condition: torch.Tensor, noise: torch.Tensor, config: RolloutConfig = WALK):
    state = RolloutState.start(model.generator, ROWS, "cpu")
    return roll(model.generator, condition, noise, sinks_of(model), state, config)


@torch.no_grad()
def test_a_walk_equals_the_whole_clip_given_its_own_frames(model: AvatarModel) -> None:
    frames = 3 * SIZE.window
    condition, noise = inputs(frames)
    walked = rolled(model, condition, noise)
    v = whole_clip(model.generator, noise, before(walked), condition, torch.ones(ROWS), sinks_of(model))
    assert (walked - one_step(noise, v)).abs().max() < 1e-5


@torch.no_grad()
def test_a_walk_equals_what_is_served(model: AvatarModel) -> None:
    frames = 3 * SIZE.window
    condition, noise = inputs(frames)
    walked = rolled(model, condition, noise)[0]
    sinks = [type(s)(s.keys[:1], s.values[:1]) for s in sinks_of(model)]
    rings = [RingCache(SIZE.heads, SIZE.tokens, SIZE.window, SIZE.head_dim) for _ in sinks]
    recycled = torch.zeros_like(noise[:1, 0])
    for f in range(frames):
        v = model.generator(noise[:1, f], recycled, condition[:1, f], torch.ones(1), torch.tensor([f]), sinks, rings)
        recycled = one_step(noise[:1, f], v)
        assert (recycled[0] - walked[f]).abs().max() < 1e-4


@torch.no_grad()
def test_the_future_does_not_change_the_past(model: AvatarModel) -> None:
    condition, noise = inputs(9)
    changed = torch.cat([condition[:, :5], -condition[:, 5:]], 1)
    a, b = rolled(model, condition, noise), rolled(model, changed, noise)
    assert torch.equal(a[:, :5], b[:, :5])
    assert not torch.allclose(a[:, 5:], b[:, 5:])


def gradients(model: AvatarModel, config: RolloutConfig) -> torch.Tensor:
    """How much each condition frame moves the last output frame."""
    condition, noise = inputs(4)
    condition.requires_grad_(True)
    rolled(model, condition, noise, config)[:, -1].square().sum().backward()
    assert condition.grad is not None
    return condition.grad.abs().sum((0, 2, 3, 4))


def test_gradient_flows_through_keys_and_values_and_never_through_the_recycled_frame(model: AvatarModel) -> None:
    assert bool((gradients(model, WALK) > 0).all())
    alone = gradients(model, RolloutConfig(remember=False))  # the past is then only seen in the recycled frame
    assert alone[-1] > 0
    assert bool((alone[:-1] == 0).all())


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "sees_past"),
    [
        (RolloutConfig(), True),
        (RolloutConfig(recycle=False), True),
        (RolloutConfig(remember=False), True),
        (RolloutConfig(recycle=False, remember=False), False),
    ],
)
def test_the_past_is_seen_through_cache_and_recycled_frame_alone(
    model: AvatarModel, config: RolloutConfig, sees_past: bool
) -> None:
    condition, noise = inputs(3)
    changed = torch.cat([-condition[:, :1], condition[:, 1:]], 1)
    last = [rolled(model, c, noise, config)[:, -1] for c in (condition, changed)]
    assert torch.allclose(*last, atol=1e-6) != sees_past


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("frames", [1, 5, 8, 17])
def test_segments_overlap_and_bring_every_frame_once(frames: int, overlap: int) -> None:
    parts = list(spans(RolloutConfig(frames, 5, overlap)))
    assert [f for _, new, end in parts for f in range(new, end)] == list(range(frames))
    assert all(end - start <= 5 for start, _, end in parts)
    assert all(start == before_end - overlap for (_, _, before_end), (start, _, _) in pairwise(parts))


def test_segments_of_a_walk_join_and_send_no_gradient_back(model: AvatarModel) -> None:
    batch, config = drawn_batch(ROWS, 4), RolloutConfig(7, 4, 2)
    last = None
    for walk in student_walk(model, batch, config, torch.Generator().manual_seed(0)):
        assert walk.fake_BFCHW.shape == walk.true_BFCHW.shape
        assert walk.guide.shape[1] == walk.fake_BFCHW.shape[1]
        if last is not None:
            assert torch.equal(walk.fake_BFCHW[:, : walk.new], last[:, -walk.new :])
        walk.fake_BFCHW.square().sum().backward()  # would fail if it led into the segment before
        last = walk.fake_BFCHW.detach()


def test_a_walk_beyond_the_clip_runs_it_forth_and_back(model: AvatarModel) -> None:
    batch = drawn_batch(ROWS, 4)
    walks = list(student_walk(model, batch, RolloutConfig(7, 7, 0), torch.Generator().manual_seed(0)))
    assert torch.equal(walks[0].batch.truth_BFCHW[:, 4:], batch.truth_BFCHW[:, [2, 1, 0]])


def test_a_teachers_walk_has_the_same_segments(model: AvatarModel) -> None:
    batch, config = drawn_batch(ROWS, 4), RolloutConfig(7, 4, 2)
    shapes = [
        [w.fake_BFCHW.shape for w in walk(model, batch, config, torch.Generator().manual_seed(0))]
        for walk in (student_walk, teacher_walk)
    ]
    assert shapes[0] == shapes[1]


def test_memory_does_not_grow_with_the_length_of_the_rollout(model: AvatarModel) -> None:
    batch = drawn_batch(ROWS, 4)

    def most_bytes(frames: int) -> int:
        """The most that graphs held at once, over a rollout."""
        held, most = 0, 0

        class Kept:
            def __init__(self, tensor: torch.Tensor) -> None:
                nonlocal held, most
                self.tensor = tensor.detach()  # an output would keep its own graph alive
                self.bytes = tensor.numel() * tensor.element_size()
                held += self.bytes
                most = max(most, held)

            def __del__(self) -> None:
                nonlocal held
                held -= self.bytes

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            for walk in student_walk(model, batch, RolloutConfig(frames, 6, 2), torch.Generator().manual_seed(0)):
                walk.fake_BFCHW.square().sum().backward()
                del walk
        assert held == 0
        return most

    model.encoder.requires_grad_(False)
    short = most_bytes(6 + 4 * 2)
    assert short > 0
    assert most_bytes(6 + 4 * 6) <= 1.01 * short


@torch.no_grad()
def test_the_cache_holds_no_more_than_the_window(model: AvatarModel) -> None:
    state = RolloutState.start(model.generator, ROWS, "cpu")
    for _ in range(3):
        roll(model.generator, *inputs(SIZE.window), sinks_of(model), state, WALK)
        assert {len(kept) for cache in state.caches for kept in (cache.keys, cache.values, cache.frames)} == {
            SIZE.window
        }
