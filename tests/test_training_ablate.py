"""What of AAPT's claims can be seen in miniature, and whether it would be seen if it were otherwise."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError
from rich.console import Console
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_sdk.warp.frame import POSE_MAPS  # noqa: E402
from training.ablate.ablation import MEASURES, AblationConfig, ablate  # noqa: E402
from training.ablate.arms import ARMS, ROWS, arms_named  # noqa: E402
from training.ablate.claims import CLAIMS, Claim, Outcome, judged  # noqa: E402
from training.ablate.measures import Measures, compare  # noqa: E402
from training.cli import app  # noqa: E402
from training.drawn_face import drawn_clip  # noqa: E402
from training.errors import DataError  # noqa: E402
from training.rollout import spans  # noqa: E402
from training.state import STATE  # noqa: E402

TINY = AblationConfig(
    people=2, clip_frames=38, strangers=1, walk=40, codec_steps=2, adapt_steps=2, distill_steps=1, steps=1
)
LATE = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed of every arm, trained for a step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ablation")
    ablate(folder, TINY, 1, (), None, Console(quiet=True))
    torch.set_num_threads(before)
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def measures(folder: Path, arm: str) -> Measures:
    return Measures.from_dict(json.loads((folder / "seed-0" / arm / MEASURES).read_text()))


def walk(frames: int = 64) -> torch.Tensor:
    """Smooth latents of two clips."""
    rng = torch.Generator().manual_seed(0)
    phase = 6 * torch.rand(2, 1, 4, 4, 4, generator=rng)
    return torch.sin(0.3 * torch.arange(frames).view(1, -1, 1, 1, 1) + phase)


STILL = walk()[:, :1].expand(-1, 64, -1, -1, -1)


@pytest.mark.timeout(300)
def test_every_claim_is_measured_and_every_arm_is_in_table_file_and_plot(run: Path) -> None:
    content = json.loads((run / "ablation.json").read_text())
    assert content["finished"]
    assert set(content["arms"]) == {"before stage 3", *(arm.name for arm in ARMS)}
    assert [line["claim"]["says"] for line in content["claims"]] == [claim.says for claim in CLAIMS]
    assert {line["outcome"] for line in content["claims"]} == {"within noise"}  # one seed decides nothing
    assert len(content["arms"]["student"]["0"]["error"]) == TINY.walk
    assert (run / "ablation.png").stat().st_size > 10_000
    console = Console(record=True, width=200)
    ablate(run, TINY, 1, ("student", "twice"), None, console)
    text = console.export_text()
    assert "2 segments drift less than 1" in text
    assert "teacher-forced" not in text


@pytest.mark.timeout(300)
def test_the_same_command_trains_only_what_is_missing_and_it_comes_out_the_same(copied: Path) -> None:
    kept, lost = copied / "seed-0/student/adversarial" / STATE, copied / "seed-0/no-cache"
    wanted, written = measures(copied, "no-cache"), kept.stat().st_mtime_ns
    shutil.rmtree(lost)
    console = Console(record=True, width=200)
    ablate(copied, TINY, 1, (), 0.0, console)
    assert "to be continued by the same command" in console.export_text(clear=True)
    assert not json.loads((copied / "ablation.json").read_text())["finished"]
    assert not (lost / MEASURES).exists()
    ablate(copied, TINY, 1, (), None, console)
    text = console.export_text()
    assert "seed 0: no-cache" in text
    assert "seed 0: student" not in text
    assert kept.stat().st_mtime_ns == written
    assert measures(copied, "no-cache") == wanted


def test_a_run_of_other_sizes_or_with_a_damaged_file_is_refused(copied: Path) -> None:
    with pytest.raises(DataError, match="has steps 1, not 2"):
        ablate(copied, replace(TINY, steps=2), 1, (), None, Console(quiet=True))
    damaged = copied / "seed-0/student" / MEASURES
    damaged.write_text('{"error": [0.1]}')
    with pytest.raises(DataError, match=r"measures\.json cannot be read.*delete it"):
        ablate(copied, TINY, 1, (), None, Console(quiet=True))


def test_an_unknown_arm_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ablate", "--run", str(tmp_path / "run"), "--arms", "student,teacher"])
    assert done.exit_code == 2
    assert "there is no arm 'teacher'; there are student, teacher-forced" in done.output
    assert not (tmp_path / "run").exists()


def test_a_session_without_time_says_that_nothing_is_measured_yet(tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    ablate(tmp_path, TINY, 1, (), 0.0, console)
    assert "nothing is measured yet; to be continued by the same command" in console.export_text()


def test_a_walk_that_ends_where_training_does_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="longer than 38"):
        AblationConfig(walk=38)


def test_every_arm_changes_one_thing_and_learns_from_as_many_segments() -> None:
    by_name = {arm.name: arm for arm in ARMS}
    for claim in CLAIMS:
        one, other = (vars(by_name[name]) for name in (claim.better, claim.worse))
        assert len([key for key in one if key not in ("name", "says") and one[key] != other[key]]) == 1
    for arm in ARMS:
        assert len(list(spans(arm.walk))) == arm.segments
        assert arm.clips * arm.segments == ROWS
        assert arm.config().rollout.recycle == arm.recycle
    assert [arm.name for arm in arms_named(["twice", "student"])] == ["student", "twice"]


def test_a_perfect_walk_is_measured_as_the_truth() -> None:
    found = compare(walk(), walk(), STILL, LATE)
    assert found.late == 0
    assert found.motion == pytest.approx(1)
    assert found.followed == pytest.approx(1)
    assert found.jitter == 0
    assert found.spread == pytest.approx(1)


def test_a_static_walk_has_no_motion() -> None:
    found = compare(walk()[:, :1].expand(-1, 64, -1, -1, -1), walk(), STILL, LATE)
    assert found.motion == 0
    assert found.followed == 0
    assert found.late > 0.5


def test_a_drifting_walk_errs_more_and_more() -> None:
    away = 0.02 * torch.arange(64).view(1, -1, 1, 1, 1)
    found = compare(walk() + away, walk(), STILL, LATE)
    assert found.late > 4 * np.mean(found.error[:8])
    assert found.followed == pytest.approx(1, abs=0.1)


def test_a_trembling_walk_moves_but_follows_no_better_and_trembles_before_a_still_driver() -> None:
    rng = torch.Generator().manual_seed(1)
    noise = 3 * torch.randn(2, 64, 4, 4, 4, generator=rng)
    found = compare(walk() + noise, walk(), STILL + noise, LATE)
    assert found.motion > 1.2
    assert found.followed == pytest.approx(1, abs=0.3)
    assert found.jitter > 2


@pytest.mark.parametrize(
    ("better", "worse", "outcome"),
    [
        ((0.10, 0.12, 0.11), (0.20, 0.26, 0.21), "reproduces"),
        ((0.20, 0.26, 0.21), (0.10, 0.12, 0.11), "does not"),
        ((0.100, 0.120, 0.110), (0.101, 0.122, 0.111), "does not"),  # surely smaller, but by too little to matter
        ((0.10, 0.30, 0.20), (0.20, 0.20, 0.30), "within noise"),
        ((0.10,), (0.20,), "within noise"),
    ],
)
def test_the_rule_asks_for_a_difference_that_matters_and_that_the_seeds_agree_on(
    better: tuple[float, ...], worse: tuple[float, ...], outcome: Outcome
) -> None:
    def arm(values: tuple[float, ...], name: str) -> dict[int, Measures]:
        blank = Measures((0.0,), 1, 1, 1, 1, 1)
        return {seed: replace(blank, **{name: value}) for seed, value in enumerate(values)}

    drift = Claim("", "", "late", "a", "b")
    verdict = judged(drift, {"a": arm(better, "late"), "b": arm(worse, "late")})
    assert verdict is not None
    assert verdict.outcome == outcome
    assert verdict.low <= verdict.ratio <= verdict.high
    motion = Claim("", "", "motion", "a", "b")  # more of it is better
    turned = judged(motion, {"a": arm(worse, "motion"), "b": arm(better, "motion")})
    assert turned is not None
    assert turned.outcome == outcome
    assert turned.ratio == pytest.approx(verdict.ratio)


def test_arms_are_compared_on_the_seeds_that_both_have() -> None:
    one = Measures((0.0,), 1, 1, 1, 1, 1)
    claim = Claim("", "", "late", "a", "b")
    verdict = judged(claim, {"a": {0: one, 1: one}, "b": {1: one, 2: one}})
    assert verdict is not None
    assert len(verdict.better) == 1
    assert judged(claim, {"a": {0: one}, "b": {1: one}}) is None


def test_a_clip_may_tell_the_face_now_and_then_and_always_tells_the_head() -> None:
    whole, now_and_then, never = (drawn_clip(3, 9, 64, every) for every in (1, 4, None))
    assert np.array_equal(now_and_then.truth, whole.truth)
    for frame in range(9):
        assert np.array_equal(now_and_then.maps[frame], (whole if frame % 4 == 0 else never).maps[frame])
    mouth, head = (POSE_MAPS.index(name) for name in ("inner_mouth", "face"))
    assert whole.maps[:, mouth].any()
    assert not never.maps[:, mouth].any()
    assert np.array_equal(never.maps[:, head], whole.maps[:, head])
