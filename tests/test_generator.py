"""One frame at a time equals the whole clip, and nothing ever looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from avatar_sdk.model.avatar import AvatarModel, one_step  # noqa: E402
from avatar_sdk.model.cache import Cache, GrowingCache, NoCache, RingCache  # noqa: E402
from avatar_sdk.model.generator import Generator  # noqa: E402
from avatar_sdk.model.inputs import MASKED, noise, rope, rope_split, sink_frame, slot_bias  # noqa: E402
from avatar_sdk.model.layers import Sink  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402

CONFIG = PRESETS["test"].generator
FRAMES = 5 * CONFIG.window


@pytest.fixture(scope="module")
def generator() -> Generator:
    return AvatarModel.fresh(PRESETS["test"], seed=1).generator.eval()


def inputs(frames: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise, recycled latents and conditions of a clip, one row per frame."""
    rng = torch.Generator().manual_seed(seed)

    def planes(channels: int) -> torch.Tensor:
        return torch.randn(frames, channels, CONFIG.grid, CONFIG.grid, generator=rng)

    return planes(CONFIG.latent_channels), planes(CONFIG.latent_channels), planes(CONFIG.condition_channels)


def sinks_of(generator: Generator, seed: int = 9) -> list[Sink]:
    return generator.sink(inputs(1, seed)[2])


def rings() -> list[Cache]:
    return [RingCache(CONFIG.heads, CONFIG.tokens, CONFIG.window, CONFIG.head_dim) for _ in range(CONFIG.depth)]


def growing() -> list[Cache]:
    return [GrowingCache() for _ in range(CONFIG.depth)]


def stream(
    generator: Generator, clip: tuple[torch.Tensor, ...], caches: list[Cache], sinks: list[Sink], first: int = 0
) -> torch.Tensor:
    """v of every frame, one forward each."""
    out = []
    for f in range(len(clip[0])):
        rows = (part[f : f + 1] for part in clip)
        out.append(generator(*rows, torch.ones(1), torch.tensor([first + f]), sinks, caches))
    return torch.cat(out)


def whole(generator: Generator, clip: tuple[torch.Tensor, ...], sinks: list[Sink]) -> torch.Tensor:
    """v of every frame in one forward."""
    frames = len(clip[0])
    caches = [NoCache(frames) for _ in range(CONFIG.depth)]
    return generator(*clip, torch.ones(frames), torch.arange(frames), sinks, caches)


@torch.no_grad()
@pytest.mark.parametrize("caches", [rings, growing], ids=["ring", "growing"])
def test_a_streamed_clip_equals_the_whole_clip(generator: Generator, caches: object) -> None:
    clip, sinks = inputs(FRAMES), sinks_of(generator)
    streamed = stream(generator, clip, caches(), sinks)  # type: ignore[operator]
    assert (streamed - whole(generator, clip, sinks)).abs().max() <= 1e-5


@torch.no_grad()
def test_the_future_does_not_change_the_past(generator: Generator) -> None:
    clip, sinks = inputs(12), sinks_of(generator)
    changed = tuple(torch.cat([part[:7], torch.randn_like(part[7:])]) for part in clip)
    before, after = whole(generator, clip, sinks), whole(generator, changed, sinks)
    assert torch.equal(before[:7], after[:7])
    assert (before[7:] - after[7:]).abs().max() > 1e-2


@torch.no_grad()
def test_a_frame_that_left_the_window_is_forgotten_by_the_layer_that_held_it(generator: Generator) -> None:
    """One layer sees `window` past frames; deeper layers carry older ones on."""
    one = AvatarModel.fresh(replace(PRESETS["test"], generator=replace(CONFIG, depth=1)), seed=1).generator.eval()
    clip, sinks = inputs(CONFIG.window + 2), sinks_of(generator)[:1]
    other = tuple(part.clone() for part in clip)
    for part in other:
        part[0] = torch.randn_like(part[0])
    caches = [RingCache(CONFIG.heads, CONFIG.tokens, CONFIG.window, CONFIG.head_dim) for _ in range(2)]
    a, b = (stream(one, c, [cache], sinks) for c, cache in zip((clip, other), caches, strict=True))
    assert torch.equal(a[-1], b[-1])
    assert not torch.equal(a[-2], b[-2])


@torch.no_grad()
def test_two_interleaved_streams_equal_each_alone(generator: Generator) -> None:
    clips = [inputs(10, seed) for seed in (1, 2)]
    sinks = [sinks_of(generator, seed) for seed in (3, 4)]
    alone = [stream(generator, clip, rings(), sink) for clip, sink in zip(clips, sinks, strict=True)]
    memories = [rings(), rings()]
    for f in range(10):
        for i in (0, 1):
            rows = (part[f : f + 1] for part in clips[i])
            v = generator(*rows, torch.ones(1), torch.tensor([f]), sinks[i], memories[i])
            assert torch.equal(v[0], alone[i][f])


@torch.no_grad()
def test_only_differences_of_positions_matter_so_an_hour_in_is_like_the_start(generator: Generator) -> None:
    clip, sinks = inputs(2 * CONFIG.window), sinks_of(generator)
    hour = 24 * 3600 // CONFIG.window * CONFIG.window
    early, late = stream(generator, clip, rings(), sinks), stream(generator, clip, rings(), sinks, first=hour)
    assert (early - late).abs().max() <= 1e-4
    assert np.isfinite(rope(CONFIG, 100 * hour)).all()


@torch.no_grad()
def test_the_portrait_is_seen_from_every_frame(generator: Generator) -> None:
    clip = inputs(FRAMES)
    a, b = (stream(generator, clip, rings(), sinks_of(generator, seed)) for seed in (5, 6))
    assert ((a - b).abs().amax((1, 2, 3)) > 1e-4).all()


def test_gradients_flow_through_the_keys_and_values_of_the_past_until_they_are_cut(generator: Generator) -> None:
    noises, recycled, condition = inputs(4)
    condition.requires_grad_()
    caches = growing()
    v = stream(generator, (noises, recycled, condition), caches, sinks_of(generator))
    (gradient,) = torch.autograd.grad(v[3].sum(), condition, retain_graph=True)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()
    for cache in caches:
        cache.detach()
    last = generator(
        noises[:1], recycled[:1], condition[3:], torch.ones(1), torch.tensor([4]), sinks_of(generator), caches
    )
    (gradient,) = torch.autograd.grad(last.sum(), condition)
    assert (gradient[:3] == 0).all()
    assert (gradient[3] != 0).any()


def test_one_step_recovers_the_latent_when_v_is_right() -> None:
    eps, latent = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    assert torch.allclose(one_step(eps, eps - latent), latent, atol=1e-6)


def test_noise_depends_on_seed_and_frame_alone() -> None:
    assert np.array_equal(noise(CONFIG, 3, 7), noise(CONFIG, 3, 7))
    assert not np.array_equal(noise(CONFIG, 3, 7), noise(CONFIG, 3, 8))
    assert not np.array_equal(noise(CONFIG, 3, 7), noise(CONFIG, 4, 7))
    assert abs(noise(PRESETS["lite"].generator, 0, 0).std() - 1) < 0.1


def test_rope_splits_a_head_as_wan_does() -> None:
    assert rope_split(128) == (44, 42, 42)
    assert sum(rope_split(CONFIG.head_dim)) == CONFIG.head_dim


def test_slots_are_masked_until_they_were_written() -> None:
    seen = [(slot_bias(CONFIG, frame) > MASKED / 2).tolist() for frame in range(CONFIG.window + 2)]
    assert seen[0] == [True] + [False] * CONFIG.window + [True]
    assert seen[1] == [True, True] + [False] * (CONFIG.window - 1) + [True]
    assert all(seen[CONFIG.window + 1])
    assert sink_frame(CONFIG, 0) == -(CONFIG.window + 1)


@torch.no_grad()
def test_text_is_attended_to_when_the_model_has_any() -> None:
    config = replace(PRESETS["test"], generator=replace(CONFIG, text_dim=12))
    model = AvatarModel.fresh(config).generator.eval()
    clip, sinks = inputs(1), model.sink(inputs(1)[2])
    out = [
        model(*clip, torch.ones(1), torch.tensor([0]), sinks, growing(), text_BSD=torch.randn(1, 5, 12))
        for _ in range(2)
    ]
    assert not torch.equal(*out)
