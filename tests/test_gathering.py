"""Sessions on their own threads share ticks, and are none the wiser."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, MissingDependencyError, NoCapacityError, SessionStateLostError
from avatar_client.pose_file import PoseReader
from service import serving

from avatar_sdk.engine import Avatar, Engine, EngineConfig
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.runtime import load_runtime

torch = pytest.importorskip("torch", reason="the batched runtime needs torch; install the extra `train` or `gpu`")

from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from avatar_sdk.runtime.torch.batch import BatchRuntime, Tick  # noqa: E402
from avatar_sdk.runtime.torch.config import BatchConfig, check_memory  # noqa: E402
from avatar_sdk.runtime.torch.gathering import GatheringRuntime  # noqa: E402

SIDE = 64
FRAMES = 4
SESSIONS = 3


@pytest.fixture(scope="module")
def portrait(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(SIDE, SIDE))


def engine(gather_s: float = 5.0) -> tuple[Engine, BatchRuntime]:
    model = AvatarModel.fresh(PRESETS["test"], seed=5)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    batch = BatchRuntime(model, BatchConfig(SESSIONS, "cpu", SIDE, SIDE))
    return Engine(GatheringRuntime(batch, gather_s), EngineConfig("test", SESSIONS)), batch


def test_threads_share_ticks_and_each_sees_what_it_sees_alone(
    portrait: Portrait, sample_poses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses = PoseReader(sample_poses)
    shared, batch = engine()
    sizes: list[int] = []
    plain = batch.tick

    def counted(motions: dict[object, object]) -> Tick:
        sizes.append(len(motions))
        return plain(motions)  # type: ignore[arg-type]

    def stream(makes: Engine, avatar: Avatar, seed: int) -> list[np.ndarray]:
        return [makes.step(avatar, poses[30 * seed + k], k * 41_667).image for k in range(FRAMES)]

    monkeypatch.setattr(batch, "tick", counted)
    avatars = [shared.open(portrait, seed=seed) for seed in range(SESSIONS)]
    with ThreadPoolExecutor(SESSIONS) as pool:
        together = list(pool.map(lambda seed: stream(shared, avatars[seed], seed), range(SESSIONS)))
    assert sizes == [SESSIONS] * FRAMES
    alone, _ = engine()
    for seed in range(SESSIONS):
        avatar = alone.open(portrait, seed=seed)
        for shown, expected in zip(together[seed], stream(alone, avatar, seed), strict=True):
            assert np.abs(shown.astype(int) - expected).max() <= 1
        alone.close(avatar)


def test_who_is_late_is_not_waited_for_long(portrait: Portrait, sample_poses: Path) -> None:
    poses = PoseReader(sample_poses)
    shared, _ = engine(gather_s=0.01)
    busy, _idle = shared.open(portrait), shared.open(portrait)
    picture = shared.step(busy, poses[0], 0)
    assert picture.timings_us["generator"] > 0
    assert set(picture.timings_us) == {"motion", "warp", "generator", "decode", "composite"}


async def test_streams_of_a_service_share_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, batch = engine(gather_s=0.5)
    sizes: list[int] = []
    plain = batch.tick

    def counted(motions: dict[object, object]) -> Tick:
        sizes.append(len(motions))
        return plain(motions)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "tick", counted)
    async with serving(shared, size_px=SIDE) as (_, client):
        streams = [await client.open(await client.create()) for _ in range(2)]
        for _ in range(4):
            await asyncio.gather(*(stream.send_poses(1) for stream in streams))
            await asyncio.gather(*(stream.until("frame") for stream in streams))
    assert max(sizes) == 2


def test_a_slot_is_free_for_the_batch_before_the_engine_offers_it(portrait: Portrait) -> None:
    shared, batch = engine()
    avatars = [shared.open(portrait) for _ in range(SESSIONS)]
    with pytest.raises(NoCapacityError):
        shared.open(portrait)
    seen: list[int] = []
    plain = batch.close
    batch.close = lambda seat: (seen.append(shared.free_slots), plain(seat))[1]  # type: ignore[method-assign]
    shared.close(avatars[0])
    assert seen == [0]
    assert (shared.free_slots, batch.free_slots) == (1, 1)


def test_a_lost_session_ends_and_the_other_goes_on(portrait: Portrait, sample_poses: Path) -> None:
    poses = PoseReader(sample_poses)
    shared, batch = engine()
    well, ill = shared.open(portrait), shared.open(portrait)
    batch.network.memory.latent[ill.runtime.slot] = torch.nan
    failed: list[SessionStateLostError] = []

    def step_ill() -> None:
        try:
            shared.step(ill, poses[0], 0)
        except SessionStateLostError as error:
            failed.append(error)

    thread = threading.Thread(target=step_ill)
    thread.start()
    assert shared.step(well, poses[0], 0).image.shape == (SIDE, SIDE, 3)
    thread.join()
    assert len(failed) == 1


def test_a_tick_that_fails_ends_every_session_in_it(
    portrait: Portrait, sample_poses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, batch = engine(gather_s=0.01)
    avatar = shared.open(portrait)
    monkeypatch.setattr(batch, "tick", lambda motions: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shared.step(avatar, PoseReader(sample_poses)[0], 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
def test_a_batch_is_loaded_by_its_prefix_and_wants_cuda() -> None:
    with pytest.raises(MissingDependencyError, match="no CUDA device"):
        load_runtime("batch:lite", slots=200)
    with pytest.raises(InvalidConfigError, match="no model 'nonsense'"):
        load_runtime("batch:nonsense", slots=200)


def test_slots_that_do_not_fit_are_refused_with_those_that_do() -> None:
    check_memory(2**30, 2**30, 10)
    with pytest.raises(
        InvalidConfigError, match=r"10 slots need 4.00 GiB on the device, and 1.00 GiB are free; at most 2"
    ):
        check_memory(2**32, 2**30, 10)
