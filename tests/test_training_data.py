"""Clips, shards and batches: what comes back is what went in, and every batch is a function of its step."""

from __future__ import annotations

import errno
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from training.data import Clip, Shards, ShardWriter  # noqa: E402
from training.data.batches import BatchConfig, Batches, single, there_and_back  # noqa: E402
from training.errors import DataError  # noqa: E402


def a_clip(name: str, frames: int = 6, seed: int = 0) -> Clip:
    """A bright square that moves to the right, one step per frame."""
    rng = np.random.default_rng(seed)
    truth = np.full((frames, 256, 256, 3), 40 + seed, np.uint8)
    maps = np.zeros((frames, 8, 256, 256), np.uint8)
    for k in range(frames):
        truth[k, 100:140, 80 + 8 * k : 120 + 8 * k] = rng.integers(100, 255, 3)
        maps[k, 2, 110:130, 90 + 8 * k : 110 + 8 * k] = 255
    reference = np.concatenate([truth[0].transpose(2, 0, 1), maps[0]])
    return Clip(name, truth, truth.copy(), maps, maps[:, 2], reference, {"seed": seed})


def stored(folder: Path, clips: int = 5, **changes: Any) -> Shards:
    with ShardWriter(folder, {"made": "here"}, clips_per_shard=2) as writer:
        for k in range(clips):
            writer.add(a_clip(f"clip{k}", seed=k, **changes))
    return Shards(folder)


def test_a_clip_comes_back_with_its_maps_exact_and_its_pictures_nearly(tmp_path: Path) -> None:
    clip = stored(tmp_path)[3]
    sent = a_clip("clip3", seed=3)
    assert (clip.name, dict(clip.info), len(clip)) == ("clip3", {"seed": 3}, 6)
    for part in ("maps", "gate", "reference"):
        np.testing.assert_array_equal(getattr(clip, part), getattr(sent, part))
    assert np.abs(clip.truth.astype(int) - sent.truth).mean() < 1


def test_shards_are_tar_files_that_anybody_can_read(tmp_path: Path) -> None:
    stored(tmp_path)
    with tarfile.open(tmp_path / "000000.tar") as tar:
        assert {name.split(".", 1)[1] for name in tar.getnames()} == {
            "truth.jpg", "warp.jpg", "maps.z", "gate.z", "reference.z", "json",
        }  # fmt: skip


def test_a_writer_goes_on_after_what_is_there(tmp_path: Path) -> None:
    stored(tmp_path, clips=3)
    with ShardWriter(tmp_path, {"made": "here"}) as writer:
        assert writer.names == {"clip0", "clip1", "clip2"}
        writer.add(a_clip("clip9"))
    assert [clip.name for clip in Shards(tmp_path)] == ["clip0", "clip1", "clip2", "clip9"]


def test_a_writer_refuses_a_folder_made_in_another_way(tmp_path: Path) -> None:
    stored(tmp_path)
    with pytest.raises(DataError, match="other settings"):
        ShardWriter(tmp_path, {"made": "there"})


def test_a_full_disk_loses_only_the_open_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ShardWriter(tmp_path, {"made": "here"}, clips_per_shard=2)
    writer.add(a_clip("clip0"))
    writer.add(a_clip("clip1"))
    writer.add(a_clip("clip2"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(DataError, match="No space left"):
        writer.add(a_clip("clip3"))
    assert [clip.name for clip in Shards(tmp_path)] == ["clip0", "clip1"]
    assert not (tmp_path / "partial.tar").exists()


def test_a_folder_without_clips_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="training synthesize"):
        Shards(tmp_path)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    shards = stored(tmp_path)
    (tmp_path / "000001.tar").write_bytes(b"\0" * 200_000)
    with pytest.raises(DataError, match="clip2"):
        shards[2]
    (tmp_path / "000001.tar").unlink()
    with pytest.raises(DataError, match=r"000001\.tar"):
        shards[2]


def test_two_processes_never_write_into_one_folder(tmp_path: Path) -> None:
    stored(tmp_path)
    assert not (tmp_path / "writer.pid").exists()
    (tmp_path / "writer.pid").write_text("1")
    with pytest.raises(DataError, match="process 1 writes into"):
        ShardWriter(tmp_path, {"made": "here"})
    (tmp_path / "writer.pid").write_text("999999999")
    with ShardWriter(tmp_path, {"made": "here"}) as writer:
        writer.add(a_clip("late"))
    assert "late" in {clip.name for clip in Shards(tmp_path)}


def test_a_batch_is_the_same_whenever_it_is_asked_for(tmp_path: Path) -> None:
    shards, config = stored(tmp_path), BatchConfig(clips=2, frames=3, reuse=2)
    first, other = Batches([shards], config), Batches([shards], config)
    for step in range(7):
        other.batch(step)
    for name in ("truth_BFCHW", "guide_BFCHW", "gate_BFHW", "reference_BCHW"):
        assert torch.equal(getattr(first.batch(7), name), getattr(other.batch(7), name))
    assert not torch.equal(first.batch(7).truth_BFCHW, first.batch(8).truth_BFCHW)


def test_a_stream_gives_the_batches_in_order_from_any_step(tmp_path: Path) -> None:
    batches = Batches([stored(tmp_path)], BatchConfig(clips=1, frames=2))
    stream = batches.stream(4)
    for step in (4, 5, 6):
        assert torch.equal(next(stream).truth_BFCHW, batches.batch(step).truth_BFCHW)
    stream.close()


def test_two_ranks_draw_the_two_halves_of_one_batch(tmp_path: Path) -> None:
    shards, config = stored(tmp_path), BatchConfig(clips=4, frames=2, reuse=3)
    whole = Batches([shards], config)
    halves = [Batches([shards], config, rank, 2) for rank in range(2)]
    for step in range(5):
        joined = torch.cat([half.batch(step).truth_BFCHW for half in halves])
        assert torch.equal(joined, whole.batch(step).truth_BFCHW)
    with pytest.raises(DataError, match="does not divide"):
        Batches([shards], config, 0, 3)


def test_mirroring_and_colours_change_truth_and_warp_alike(tmp_path: Path) -> None:
    batch = Batches([stored(tmp_path)], BatchConfig(clips=4, frames=3)).batch(0)
    assert (batch.truth() - batch.guide()[:, :, :3]).abs().max() < 0.1
    assert batch.truth().min() >= -1
    assert batch.gate().max() <= 1


def test_clips_that_are_too_short_run_back() -> None:
    assert there_and_back(4, np.arange(-2, 9)).tolist() == [2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert there_and_back(1, np.arange(3)).tolist() == [0, 0, 0]


def test_a_clip_as_a_batch_is_unchanged() -> None:
    clip = a_clip("one")
    batch = single(clip)
    np.testing.assert_array_equal(batch.truth_BFCHW[0].numpy(), clip.truth.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(batch.guide_BFCHW[0, :, 3:].numpy(), clip.maps)
