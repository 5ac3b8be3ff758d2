"""Whole pictures of a user's own video, for video generators: truth, warp and pose maps lie over each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray

from avatar_sdk.warp.frame import POSE_MAPS, WarpedFrame
from avatar_sdk.warp.picture import gate_on_picture, maps_on_picture
from training.data import Shards
from training.data.clip import MAX_ROWS, Clip
from training.errors import DataError
from training.prepare.config import PrepareConfig
from training.prepare.preparation import prepare
from training.synthesize import SynthesisConfig, film_video

WIDE = PrepareConfig(frames=9, neutral=6, picture=(192, 128), framing=3.2)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_video(tmp_path_factory.mktemp("film"), SynthesisConfig(seed=5), 0, 0.5)


@pytest.fixture(scope="module")
def shards(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    out = tmp_path_factory.mktemp("out") / "pictures"
    prepare([film], out, WIDE)
    return Shards(out)


def test_pictures_have_the_wanted_size_and_say_so(shards: Shards) -> None:
    assert shards.picture == (192, 128)
    for clip in shards:
        assert clip.truth.shape == clip.warp.shape == (9, 128, 192, 3)
        assert clip.maps.shape == (9, len(POSE_MAPS), 128, 192)
        assert clip.gate.shape == (9, 128, 192)
        assert clip.reference.shape == (11, 128, 192)


def test_the_warp_is_nearer_to_the_truth_than_the_portrait_and_maps_lie_on_the_face(shards: Shards) -> None:
    for clip in shards:
        still = clip.reference[:3].transpose(1, 2, 0).astype(int)
        face = clip.maps[:, POSE_MAPS.index("face")] > 127
        assert 0.02 < face.mean() < 0.5
        near, far = (
            np.abs(x.astype(int) - clip.truth)[face].mean()
            for x in (clip.warp, np.broadcast_to(still, clip.truth.shape))
        )
        assert near < far
        lips = clip.maps[:, POSE_MAPS.index("lips")] > 127
        assert lips.any()
        assert not (lips & ~face).any() or (lips & face).sum() > 10 * (lips & ~face).sum()


def test_a_clip_of_pictures_comes_back_as_it_was(shards: Shards) -> None:
    clip = shards[0]
    again = Clip.decode(clip.name, clip.encode())
    assert np.array_equal(again.maps, clip.maps)
    assert again.truth.shape == clip.truth.shape
    assert np.abs(again.truth.astype(int) - clip.truth).mean() < 2


def test_maps_lie_where_the_crop_was_taken_and_beyond_it_nothing_moves() -> None:
    grid: NDArray[np.uint8] = np.zeros((8, 256, 256), np.uint8)
    grid[:, 128:, :] = 200
    image = np.zeros((64, 96, 3), np.uint8)
    affine = np.array([[8, 0, -8 * 32], [0, 8, -8 * 16]], np.float32)  # a crop of 32 pixels at (32, 16)
    frame = WarpedFrame(image, np.zeros((256, 256, 3), np.uint8), grid, grid[0], affine)
    maps, gate = maps_on_picture(frame), gate_on_picture(frame)
    assert maps.shape == (8, 64, 96)
    assert np.array_equal(gate, maps[0])
    assert (gate[33:47, 33:62] == 200).all()
    assert (gate[17:31, 33:62] == 0).all()
    beyond = {name: int(maps[k, 2, 2]) for k, name in enumerate(POSE_MAPS)}
    assert beyond == {**dict.fromkeys(POSE_MAPS, 0), "stretch": 128, "visibility": 255}


def test_crops_and_pictures_do_not_share_a_folder(film: Path, shards: Shards) -> None:
    with pytest.raises(DataError, match="made with other settings"):
        prepare([film], shards.folder, replace(WIDE, picture=None))
    assert "picture" not in replace(WIDE, picture=None).settings(), "older data sets of crops go on"


def test_clips_too_long_for_a_strip_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=rf"must be in \[2, {MAX_ROWS // 720}\]"):
        PrepareConfig(frames=92, picture=(1280, 720), take_frames=192)
