"""Many sessions in one tick: each as if alone, and nobody's trouble is anybody else's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, MissingDependencyError, NoCapacityError
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray

from avatar_sdk.motion import Motion, Retargeter
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait

torch = pytest.importorskip("torch", reason="the batched runtime needs torch; install the extra `train` or `gpu`")

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.inputs import rope, sink_frame  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from avatar_sdk.runtime.torch import TorchRuntime  # noqa: E402
from avatar_sdk.runtime.torch.batch import BatchRuntime, Seat  # noqa: E402
from avatar_sdk.runtime.torch.config import BatchConfig, check_device  # noqa: E402
from avatar_sdk.runtime.torch.feed import Feed  # noqa: E402

SIDE = 128
STEPS = 7
"""More than the tiny network's window, so that the ring is overwritten."""


@pytest.fixture(scope="module")
def portrait(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(SIDE, SIDE))


@pytest.fixture(scope="module")
def other(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(SIDE, SIDE, framing=2.2))


@pytest.fixture(scope="module")
def motions(portrait: Portrait, sample_poses: Path) -> list[Motion]:
    retargeter = Retargeter(portrait.landmarks)
    state = retargeter.start()
    poses = PoseReader(sample_poses)
    return [retargeter.step(state, poses[5 * k], 41_667 * k) for k in range(2 * STEPS)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network whose last layer is not zero, as if trained."""
    model = AvatarModel.fresh(PRESETS["test"], seed=5)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.05)
    file = tmp_path_factory.mktemp("batch") / checkpoint.WEIGHTS
    checkpoint.save(file, model, ("codec", "adapt"))
    return file


def batch(path: Path, slots: int = 4, device: str = "cpu", **changes: object) -> BatchRuntime:
    config = BatchConfig(slots, device, SIDE, SIDE)
    return BatchRuntime.load(path, replace(config, **changes))  # type: ignore[arg-type]


def stream(runtime: BatchRuntime, seat: Seat, motions: list[Motion]) -> NDArray[np.uint8]:
    return np.stack([runtime.tick({seat: motion}).images[seat].copy() for motion in motions])


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.abs(a.astype(int) - b)


def test_latents_equal_those_of_a_single_session(path: Path, portrait: Portrait, motions: list[Motion]) -> None:
    single, runtime = TorchRuntime(path), batch(path)
    state, seats = single.start(portrait, 3), [runtime.open(portrait, seed) for seed in (9, 3)]
    network, feed = runtime.network, Feed(runtime.network.config.generator, 2, "cpu")
    for k, motion in enumerate(motions[:STEPS]):
        draft = single.predict(state, motion)
        for row, seat in enumerate(seats):
            feed.write(row, seat.slot, motion, seat.seed, k)
        feed.upload(2)
        slot, turn = feed.slots.unbind(1)
        guide = single._planes(draft.guide).expand(2, -1, -1, -1)
        with torch.inference_mode():
            latent = network.predict(guide, feed.read(feed.floats)[1], slot, turn)
            residual = network.render(latent, guide, slot)
            expected, state.decoder = single.model.decoder(torch.from_numpy(draft.latent), guide[:1], state.decoder)
        assert np.abs(latent[1].numpy() - draft.latent[0]).max() <= 1e-4
        assert float((residual[1] - expected[0]).abs().max()) <= 1e-4
        assert np.abs(latent[0].numpy() - draft.latent[0]).max() > 0.1


def test_pictures_are_those_of_a_single_session(path: Path, portrait: Portrait, motions: list[Motion]) -> None:
    single, runtime = TorchRuntime(path), batch(path)
    state, seat = single.start(portrait, 3), runtime.open(portrait, 3)
    for motion in motions[:STEPS]:
        expected = single.render(state, single.predict(state, motion))
        assert apart(runtime.tick({seat: motion}).images[seat], expected).mean() <= 1.0


def test_in_company_a_session_shows_what_it_shows_alone(
    path: Path, portrait: Portrait, other: Portrait, motions: list[Motion]
) -> None:
    runtime = batch(path)
    seat = runtime.open(portrait, 3)
    alone = stream(runtime, seat, motions[:STEPS])
    runtime.close(seat)
    guests = [runtime.open(other, 1)]
    seat = runtime.open(portrait, 3)
    for k, motion in enumerate(motions[:STEPS]):
        if k == 2:
            guests.append(runtime.open(portrait, 2))
        if k == 4:
            runtime.close(guests.pop(0))
        together = dict.fromkeys(guests, motions[-1 - k]) | {seat: motion}
        assert apart(runtime.tick(together).images[seat], alone[k]).max() <= 1


def test_a_slot_that_was_left_is_clean(path: Path, portrait: Portrait, other: Portrait, motions: list[Motion]) -> None:
    runtime = batch(path, slots=1)
    first = runtime.open(other, 1)
    stream(runtime, first, motions)
    runtime.close(first)
    runtime.close(first)
    assert runtime.free_slots == 1
    assert not any(tensor[first.slot].any() for tensor in runtime.network.memory.tensors())
    assert not runtime._photos.person[first.slot].any()
    again, fresh = runtime.open(portrait, 3), batch(path, slots=1)
    shown = stream(runtime, again, motions[:3])
    np.testing.assert_array_equal(shown, stream(fresh, fresh.open(portrait, 3), motions[:3]))


def test_another_portrait_keeps_the_past(
    path: Path, portrait: Portrait, other: Portrait, motions: list[Motion]
) -> None:
    runtime = batch(path)
    seat = runtime.open(portrait, 3)
    before = stream(runtime, seat, motions[:2])[-1]
    ring = runtime.network.memory.ring[0][0][seat.slot].clone()
    runtime.replace_portrait(seat, other)
    assert torch.equal(runtime.network.memory.ring[0][0][seat.slot], ring)
    assert apart(runtime.tick({seat: motions[1]}).images[seat], before).mean() > 3


def test_a_full_batch_says_so_and_a_portrait_of_another_size_too(
    path: Path, portrait: Portrait, sample_portrait: Path
) -> None:
    runtime = batch(path, slots=2)
    for _ in range(2):
        runtime.open(portrait)
    with pytest.raises(NoCapacityError, match="all 2 slots"):
        runtime.open(portrait)
    with pytest.raises(InvalidConfigError, match="192×192; all sessions of a batch are 128×128"):
        runtime.open(load_portrait(sample_portrait, PortraitConfig(192, 192)))


def test_a_broken_motion_repeats_the_last_one_and_touches_nobody(
    path: Path, portrait: Portrait, motions: list[Motion]
) -> None:
    runtime = batch(path, slots=3)
    well, ill, gone = (runtime.open(portrait, seed) for seed in (1, 2, 3))
    healthy = batch(path, slots=3)
    seats = [healthy.open(portrait, seed) for seed in (1, 2)]
    for k, motion in enumerate(motions[:4]):
        landmarks = motion.landmarks.copy()
        landmarks[7] = np.nan if k == 2 else np.inf
        broken = replace(motion, landmarks=landmarks) if k in (2, 3) else motion
        if k == 1:
            runtime.close(gone)
        tick = runtime.tick({well: motion, ill: broken, gone: motion})
        expected = healthy.tick({seats[0]: motion, seats[1]: motions[min(k, 1)]})
        assert gone in tick.images or k >= 1
        assert apart(tick.images[well], expected.images[seats[0]]).max() <= 1
        assert apart(tick.images[ill], expected.images[seats[1]]).max() <= 1
    assert (well.held, ill.held) == (0, 2)


def test_a_session_whose_memory_is_lost_is_named_and_touches_nobody(
    path: Path, portrait: Portrait, motions: list[Motion]
) -> None:
    runtime, healthy = batch(path, slots=2), batch(path, slots=2)
    well, ill = (runtime.open(portrait, seed) for seed in (1, 2))
    pair = [healthy.open(portrait, seed) for seed in (1, 2)]
    for motion in motions[:2]:
        runtime.tick({well: motion, ill: motion})
        healthy.tick(dict.fromkeys(pair, motion))
    runtime.network.memory.latent[ill.slot] = torch.nan
    tick = runtime.tick({well: motions[2], ill: motions[2]})
    expected = healthy.tick(dict.fromkeys(pair, motions[2]))
    assert tick.lost == (ill,)
    assert not expected.lost
    np.testing.assert_array_equal(tick.images[well], expected.images[pair[0]])


def test_buckets_are_powers_of_two_up_to_all_slots() -> None:
    assert BatchConfig(1).buckets == (1,)
    assert BatchConfig(4).buckets == (1, 2, 4)
    assert BatchConfig(6).buckets == (1, 2, 4, 6)


def test_positions_are_the_bits_of_the_other_runtimes() -> None:
    config = PRESETS["lite"].generator
    feed = Feed(config, 1, "cpu")
    motion = Motion(np.zeros((478, 3), np.float32), 1.0, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    for frame in (0, 5, 86_400):
        feed.write(0, 0, motion, 1, frame)
        feed.upload(1)
        at = feed.read(feed.floats)[1]
        for table, position in ((at.own, frame), (at.sink, sink_frame(config, frame))):
            for part, expected in zip(table, rope(config, position), strict=True):
                np.testing.assert_array_equal(part[0, 0].numpy(), expected)


@pytest.mark.parametrize(
    "values", [{"slots": 0}, {"width_px": 63}, {"height_px": 4096}, {"precision": "float8"}, {"slots": 5000}]
)
def test_settings_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidConfigError):
        replace(BatchConfig(), **values)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_named_before_anything_is_allocated() -> None:
    with pytest.raises(InvalidConfigError, match="must be cpu, cuda or cuda:N"):
        check_device("abacus")
    with pytest.raises(MissingDependencyError, match="no CUDA device for 'cuda:99'"):
        BatchRuntime.load(Path("nowhere"), BatchConfig(device="cuda:99"))


def test_bfloat16_stays_near_float32(path: Path, portrait: Portrait, motions: list[Motion]) -> None:
    exact, rough = batch(path, slots=1), batch(path, slots=1, precision="bfloat16")
    shown = [stream(runtime, runtime.open(portrait, 3), motions[:2]) for runtime in (exact, rough)]
    assert apart(*shown).mean() < 1.0
