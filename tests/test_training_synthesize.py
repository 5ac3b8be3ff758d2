"""From a seed to training clips: the product's own warp, beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from avatar_client.pose_file import PoseReader
from typer.testing import CliRunner

from training.data import Shards
from training.errors import DataError
from training.heads.scene import FilmConfig
from training.synthesize import SynthesisConfig, film_video, synthesise, synthesise_clip

QUICK = SynthesisConfig(frames=4, film=FilmConfig(side_px=192, oversampling=1.0))


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_a_clip_shows_the_portrait_driven_by_the_same_person() -> None:
    clip = synthesise_clip(QUICK, 1)
    still = clip.reference[:3].transpose(1, 2, 0)
    assert len(clip) == 4
    assert np.mean([error(w, t) for w, t in zip(clip.warp, clip.truth, strict=True)]) < np.mean(
        [error(still, t) for t in clip.truth]
    ), "the warp is nearer to the truth than the portrait that does not move"
    assert clip.maps[:, 2].any()
    assert clip.gate.any()


def test_exact_landmarks_make_the_better_warp() -> None:
    def mean_error(errors: tuple[float, float]) -> float:
        config = SynthesisConfig(frames=3, errors=errors, film=QUICK.film)
        clips = [synthesise_clip(config, person) for person in range(3)]
        return float(np.mean([error(clip.warp, clip.truth) for clip in clips]))

    assert mean_error((0.0, 0.0)) < mean_error((1.0, 1.0))


def test_shards_of_people_go_on_where_they_stopped(tmp_path: Path) -> None:
    assert synthesise(tmp_path, QUICK, people=1, workers=1).clips == 1
    made = synthesise(tmp_path, QUICK, people=2, workers=1)
    assert (made.clips, made.frames) == (1, 4)
    assert [clip.info["person"] for clip in Shards(tmp_path)] == [0, 1]
    with pytest.raises(DataError, match="other settings"):
        synthesise(tmp_path, SynthesisConfig(frames=5, film=QUICK.film), people=3, workers=1)


def test_a_video_has_exact_landmarks_beside_it(tmp_path: Path) -> None:
    path = film_video(tmp_path, QUICK, person=0, seconds=0.125)
    read = list(PoseReader(path.with_suffix(".poses")))
    assert path.stat().st_size > 1000
    assert len(read) == 3
    assert 0.2 < read[0].face[:, 0].mean() < 0.8


def test_the_command_says_what_it_made_and_fails_in_one_line(tmp_path: Path) -> None:
    from training.cli import app

    run = CliRunner().invoke(app, ["synthesize", "--help"])
    assert "python -m training synthesize data/heads" in run.output
    taken = tmp_path / "file"
    taken.write_text("")
    run = CliRunner().invoke(app, ["synthesize", str(taken), "--people", "1"])
    assert run.exit_code == 2
    assert "cannot be made" in run.output
