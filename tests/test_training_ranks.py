"""Two processes train as one would: the same curves, states that either can go on from, and one end for all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")
if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this PyTorch has no gloo", allow_module_level=True)

from avatar_client.errors import InvalidConfigError  # noqa: E402
from training_clips import CONFIG  # noqa: E402
from training_ranks import HALF_WAY, STAGES, STEPS, build, curve, free_port, go, main  # noqa: E402

from avatar_sdk.model import checkpoint  # noqa: E402
from training.data import Shards, ShardWriter  # noqa: E402
from training.data.batches import Batch, BatchConfig, Batches  # noqa: E402
from training.drawn_face import drawn_clip  # noqa: E402
from training.draws import Draws, per_row  # noqa: E402
from training.errors import DataError  # noqa: E402
from training.ranks import joined  # noqa: E402
from training.run import MODEL  # noqa: E402
from training.sharded_state import INDEX  # noqa: E402
from training.state import INITIAL, STATE, import_portable  # noqa: E402
from training.windows import face_windows  # noqa: E402

# Two processes share the core with each other and with whatever else the machine does.
pytestmark = pytest.mark.timeout(600)

FELT_BY_NOTHING = ("encoder.last.bias", "encoder.mean")
"""The codec stage takes the latent's mean away: this bias has no gradient but rounding, and Adam follows that."""
RESUMED = tuple(name for name in STAGES if name != "codec")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    with ShardWriter(folder, {"source": "drawn"}) as writer:
        for person in range(4):
            writer.add(drawn_clip(person, 6, CONFIG.codec.crop_px))
    return folder


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one rank makes; half of it lies in `half`."""
    folder = tmp_path_factory.mktemp("one")
    for name in STAGES:
        if name in RESUMED:
            go(name, data, folder / "half", HALF_WAY)
            shutil.copytree(folder / "half" / name, folder / "whole" / name)
        go(name, data, folder / "whole", STEPS)
        shutil.copy(folder / "whole" / MODEL, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def two(data: Path, one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks make."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(one / "half", folder / "begun_by_one")
    torch.multiprocessing.spawn(main, (free_port(), data, folder), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def seen(two: Path) -> list[dict[str, Any]]:
    return [json.loads((two / f"seen.{rank}.json").read_text()) for rank in range(2)]


def assert_same(curve: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert [line["step"] for line in curve] == list(range(1, STEPS + 1))
    for line, other in zip(curve, wanted, strict=True):
        assert line == pytest.approx(other, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", STAGES)
def test_two_ranks_have_the_curve_of_one(name: str, one: Path, two: Path) -> None:
    lines, wanted = curve(two / "whole", name), curve(one / "whole", name)
    if name == "codec":  # a mean of roots is not the root of a mean
        assert all(abs(a.pop("latent") - b.pop("latent")) < 0.01 for a, b in zip(lines, wanted, strict=True))
    assert_same(lines, wanted)


@pytest.mark.parametrize("name", RESUMED)
def test_two_ranks_go_on_with_the_same_curve(name: str, two: Path) -> None:
    assert curve(two / "parts", name) == curve(two / "whole", name)
    assert not (two / "parts" / name / STATE).exists()
    assert len(list((two / "parts" / name).glob("state-*"))) == 1


@pytest.mark.parametrize("name", RESUMED)
def test_two_ranks_go_on_from_the_state_of_one(name: str, one: Path, two: Path) -> None:
    assert_same(curve(two / "begun_by_one", name), curve(one / "whole", name))
    assert not (two / "begun_by_one" / name / STATE).exists()


@pytest.mark.parametrize("name", RESUMED)
def test_one_rank_goes_on_from_the_state_of_two(name: str, data: Path, one: Path, two: Path, tmp_path: Path) -> None:
    shutil.copytree(two / "half" / name, tmp_path / name)
    go(name, data, tmp_path, STEPS)
    assert_same(curve(tmp_path, name), curve(one / "whole", name))
    assert (tmp_path / name / STATE).is_file()
    assert not (tmp_path / name / INDEX).exists()
    assert not list((tmp_path / name).glob("state-*"))


@pytest.mark.parametrize("name", STAGES)
def test_the_product_is_whole_and_that_of_one_rank(name: str, one: Path, two: Path) -> None:
    mine, header = checkpoint.load(two / f"{name}.safetensors")
    theirs, _ = checkpoint.load(one / f"{name}.safetensors")
    assert header.stages == (name,)
    for part, weight in mine.state_dict().items():
        if part not in FELT_BY_NOTHING:
            assert torch.allclose(weight, theirs.state_dict()[part], rtol=1e-3, atol=1e-4), part


def test_a_signal_to_one_rank_ends_all_after_the_same_step(two: Path, seen: list[dict[str, Any]]) -> None:
    assert [each["signal"] for each in seen] == [[HALF_WAY, True, False]] * 2
    assert json.loads((two / "signal/adapt" / INDEX).read_text())["progress"]["step"] == HALF_WAY


def test_a_loss_that_is_no_number_on_one_rank_ends_all(two: Path, seen: list[dict[str, Any]]) -> None:
    assert seen[0]["nan"] == seen[1]["nan"]
    assert seen[0]["nan"].startswith(f"adapt diverged: the loss of step {HALF_WAY} is not a number; the state in")
    assert json.loads((two / "nan/adapt" / INDEX).read_text())["progress"]["step"] == HALF_WAY - 1


def test_the_time_of_one_rank_is_the_time_of_all(seen: list[dict[str, Any]]) -> None:
    assert [each["late"] for each in seen] == [0, 0]


def test_the_failure_of_one_rank_is_known_to_all(seen: list[dict[str, Any]]) -> None:
    assert [each["together"] for each in seen] == ["RankError", "DataError"]


def test_parts_of_another_seed_are_refused(seen: list[dict[str, Any]]) -> None:
    assert all("was made with seed 0, not 5" in each["seed"] for each in seen)


def test_damaged_parts_are_refused(data: Path, two: Path, tmp_path: Path) -> None:
    shutil.copytree(two / "half/adapt", tmp_path / "adapt")
    (parts,) = (tmp_path / "adapt").glob("state-*")
    for part in parts.glob("*.distcp"):
        part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DataError, match=r"state\.json does not fit this command"):
        go("adapt", data, tmp_path, STEPS)
    shutil.rmtree(parts)
    with pytest.raises(DataError, match=r"state\.json does not fit this command"):
        go("adapt", data, tmp_path, STEPS)
    (tmp_path / "adapt" / INDEX).write_text("{")
    with pytest.raises(DataError, match=r"state\.json cannot be read"):
        go("adapt", data, tmp_path, STEPS)


def test_parts_become_a_portable_state(two: Path, tmp_path: Path) -> None:
    import_portable(two / "small", tmp_path)
    state = torch.load(tmp_path / STATE)
    assert state["progress"]["step"] == 1
    product, _ = checkpoint.load(two / "portable" / MODEL)
    averaged = state["networks"]["average"]["module.generator.head.weight"]
    assert torch.equal(averaged, product.generator.head.weight)
    assert checkpoint.read_header(tmp_path / INITIAL).config == CONFIG


def test_windows_and_draws_of_the_ranks_are_those_of_the_whole_batch(data: Path) -> None:
    def drawn(rank: int, ranks: int) -> tuple[Any, Any]:
        rng = Draws("cpu", rank, ranks)
        rng.manual_seed(3)
        batch = Batches([Shards(data)], BatchConfig(4, 2), rank, ranks).batch(0)
        corners = face_windows(batch, 32, rng).corners
        return corners, per_row(len(corners), rng, lambda n: torch.randn(n, 5, generator=rng))

    corners, noise = drawn(0, 1)
    parts = [drawn(rank, 2) for rank in range(2)]
    assert (*parts[0][0], *parts[1][0]) == corners
    assert torch.equal(torch.cat([part[1] for part in parts]), noise)


def test_a_batch_that_does_not_divide_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match="5 clips does not divide among 2 ranks"):
        Batches([Shards(data)], BatchConfig(5), 1, 2)


def test_more_ranks_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(InvalidConfigError, match=r"rank 3 .* there are 2; use torchrun --nproc-per-node 2"),
        joined("cuda"),
    ):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("name", STAGES)
def test_two_devices_have_the_curve_of_one(name: str, data: Path, tmp_path: Path) -> None:
    go(name, data, tmp_path / "one", STEPS, stage=build(name), device="cuda", half=False)
    torch.multiprocessing.spawn(main, (free_port(), data, tmp_path / "two", "cuda", (name,)), nprocs=2)
    for line, other in zip(curve(tmp_path / "two/whole", name), curve(tmp_path / "one", name), strict=True):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-2)


def test_batches_of_ranks_make_up_the_whole_batch(data: Path) -> None:
    def truth(rank: int, ranks: int) -> Any:
        batch: Batch = Batches([Shards(data)], BatchConfig(4, 2), rank, ranks).batch(3)
        return batch.truth_BFCHW

    assert torch.equal(torch.cat([truth(0, 2), truth(1, 2)]), truth(0, 1))
