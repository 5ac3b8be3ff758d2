"""The whole recipe, from drawn faces to a student that walks on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.warp.frame import POSE_MAPS  # noqa: E402
from training.cli import app  # noqa: E402
from training.drawn_face import drawn_clip  # noqa: E402
from training.run import MODEL  # noqa: E402
from training.toy import Fall, ToyConfig, ToyReport, toy  # noqa: E402


@pytest.fixture
def one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_thread")
def test_losses_fall_and_the_student_stays_stable_for_four_times_its_training_length(tmp_path: Path) -> None:
    report = toy(tmp_path)
    assert [fall.stage for fall in report.falls] == ["codec", "adapt", "distill", "adversarial"]
    assert not report.problems()
    assert len(report.error) == 4
    assert report.drift < 1.25
    assert sum(report.error) < 0.7 * sum(report.warp_error)
    assert checkpoint.read_header(tmp_path / MODEL).stages == ("codec", "adapt", "distill", "adversarial")
    again = toy(tmp_path)  # everything is there: only the walk is done anew
    assert again == report


@pytest.mark.usefixtures("one_thread")
def test_the_stages_are_commands_that_find_each_other(tmp_path: Path) -> None:
    """On what the toy left, each stage goes on by its command."""
    steps = {"codec": 2, "adapt": 2, "distill": 2, "adversarial": 1}
    toy(
        tmp_path,
        ToyConfig(
            people=2,
            clip_frames=8,
            walk=4,
            times=1,
            **{f"{name}_steps": count for name, count in steps.items()},
        ),
    )
    run = CliRunner()
    shared = ["--data", str(tmp_path / "data"), "--run", str(tmp_path), "--device", "cpu", "--clips", "1"]
    small = tmp_path / "small"
    for name, frames, more in (
        ("adapt", 3, []),
        ("distill", 3, []),
        ("adversarial", 4, ["--rollout", "5", "--segment", "3", "--overlap", "1", "--portable", str(small)]),
    ):
        done = run.invoke(app, [name, *shared, "--frames", str(frames), "--steps", str(steps[name] + 1), *more])
        assert done.exit_code == 0, done.output
        assert f"step {steps[name] + 1}, done; loss" in done.output
    elsewhere = ["--data", str(tmp_path / "data"), "--run", str(tmp_path / "elsewhere"), "--device", "cpu"]
    options = ["--clips", "1", "--frames", "4", "--rollout", "4", "--segment", "3", "--overlap", "1", "--steps", "3"]
    done = run.invoke(app, ["adversarial", *elsewhere, *options, "--portable", str(small)])
    assert done.exit_code == 0, done.output
    assert "step 3, done" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["adapt", "--data", "nowhere"], "there is no model in"),
        (["distill", "--data", "nowhere"], "run `python -m training adapt` first"),
        (["adversarial", "--data", "nowhere", "--segment", "4", "--overlap", "4"], "bring nothing new"),
    ],
)
def test_what_cannot_begin_says_what_comes_first(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, [*arguments, "--run", str(tmp_path)])
    assert done.exit_code == 2
    assert says in done.output


def test_a_report_names_what_went_wrong() -> None:
    good = ToyReport((Fall("adapt", "loss", 2.0, 1.0),), (0.1, 0.1), (0.2, 0.2), (1.0, 1.0))
    assert not good.problems()
    bad = replace(good, falls=(Fall("adapt", "loss", 1.0, 2.0),), error=(0.1, 0.3))
    assert len(bad.problems()) == 3


def test_a_drawn_clip_differs_from_its_warp_only_where_training_is_for() -> None:
    clip = drawn_clip(3, 12)
    face = dict(zip(POSE_MAPS, clip.maps.transpose(1, 0, 2, 3), strict=True))
    expressive = np.maximum.reduce([face[name] for name in ("lips", "inner_mouth", "eyes")]) > 0
    off = np.abs(clip.truth.astype(int) - clip.warp).max(-1) > 60
    assert off.sum() > 500
    near = np.stack([_grown(frame) for frame in expressive])
    assert (off & ~near).sum() < 0.05 * off.sum()
    assert np.array_equal(drawn_clip(3, 12).truth, clip.truth)


def _grown(mask: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((27, 27), np.uint8)) > 0
