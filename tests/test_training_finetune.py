"""A trained model learns one person from a clip, and says whether that has helped."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_client.capture import VideoSource  # noqa: E402
from avatar_client.errors import InvalidConfigError  # noqa: E402
from media_files import write_video  # noqa: E402
from PIL import Image  # noqa: E402
from rich.console import Console  # noqa: E402
from training_clips import CONFIG, drawn_batch  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from training.data import Shards  # noqa: E402
from training.errors import DataError  # noqa: E402
from training.finetune import finetuning  # noqa: E402
from training.finetune.comparison import ComparisonConfig, gained, table  # noqa: E402
from training.finetune.finetuning import FinetuneConfig, finetune, light_parts, trained_weights  # noqa: E402
from training.finetune.heldout import held_out  # noqa: E402
from training.prepare.config import PrepareConfig  # noqa: E402
from training.prepare.preparation import quiet_reader  # noqa: E402
from training.rollout import RolloutConfig  # noqa: E402
from training.run import MODEL, RunConfig  # noqa: E402
from training.stages.adversarial import AdversarialConfig, AdversarialStage  # noqa: E402
from training.synthesize import SynthesisConfig, film_video  # noqa: E402
from training.trainee import branches  # noqa: E402

FRAMES = 40
HELD_OUT = 0.36


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of a person who does not exist."""
    return film_video(tmp_path_factory.mktemp("films"), SynthesisConfig(seed=5), person=0, seconds=FRAMES / 24)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest model, as if it had been trained: its decoder adds something to the warp."""
    model = AvatarModel.fresh(PRESETS["test"], seed=1)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.01, generator=torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("model") / MODEL
    checkpoint.save(path, model, ("codec", "adapt"))
    return path


@pytest.fixture(scope="module")
def config(weights: Path) -> FinetuneConfig:
    return FinetuneConfig(
        str(weights),
        held_out=HELD_OUT,
        frames=3,
        clips=1,
        prepare=PrepareConfig(frames=8, size_px=256, neutral=6),
        comparison=ComparisonConfig(step=5, stillness=None),
    )


@pytest.fixture(scope="module")
def tuned(clip: Path, config: FinetuneConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run, and what it printed."""
    run, console = tmp_path_factory.mktemp("run"), Console(record=True, width=120)
    done = finetune([clip], run, config, RunConfig(steps=2, warm_up=1), console)
    assert done.result is not None
    assert done.result.finished
    assert done.tested == 1
    return run, console.export_text()


def test_the_end_of_the_clip_is_not_learned_from(tuned: tuple[Path, str]) -> None:
    last = max(clip.info["frame"] + len(clip) for clip in Shards(tuned[0] / "data"))
    assert last == 26


def test_only_the_chosen_parts_have_changed(tuned: tuple[Path, str], weights: Path) -> None:
    before, after = (checkpoint.load(path)[0].state_dict() for path in (weights, tuned[0] / MODEL))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    parts = light_parts(PRESETS["test"])
    assert moved
    assert all(name.startswith(parts) for name in moved)
    assert {name.split(".")[0] for name in moved} == {"generator", "decoder"}
    assert checkpoint.read_header(tuned[0] / MODEL).stages == ("codec", "adapt", "adversarial")


def test_before_and_after_stand_beside_the_warp(tuned: tuple[Path, str]) -> None:
    run, text = tuned
    content = json.loads((run / "comparison.json").read_text())
    (systems,) = content["means"].values()
    assert set(systems) == {"warp", "before", "after"}
    assert content["measured_frames"] >= 2
    assert systems["before"]["psnr_mouth"] != systems["after"]["psnr_mouth"]
    assert "psnr_mouth" in text
    assert (run / "comparison.png").stat().st_size > 1000


def test_the_test_begins_with_a_portrait_that_was_learned_from(
    clip: Path, config: FinetuneConfig, tuned: tuple[Path, str], tmp_path: Path
) -> None:
    from training.prepare.record import Report

    (record,) = Report.load(tuned[0] / "data", {}).videos.values()
    frames = [image for image, _ in VideoSource(clip)]
    photo, share = tmp_path / "photo.png", replace(config.prepare, share=1 - HELD_OUT)
    Image.fromarray(frames[38][30:-30, 30:-30]).save(photo)
    with quiet_reader() as reader:
        (reel,) = held_out([record], share, reader)
        (other,) = held_out([record], share, reader, photo)
    assert any((other.frames[0] == other.frames[k]).all() for k in range(1, len(other)))
    points = other.portrait.landmarks[:, :2]
    (left, top), (right, bottom) = points.min(0).astype(int), points.max(0).astype(int)
    truth, portrait = (x[top:bottom, left:right].astype(int) for x in (other.truth(13), other.portrait.image))
    assert np.abs(truth - portrait).mean() < 5, "the video lies over the photo, in its colours"
    assert (reel.frames[0] == frames[record.takes[0].portrait_frame]).all()
    assert (reel.frames[1] == frames[26]).all()
    assert len(reel) == len(reel.poses) == 1 + FRAMES - 26
    times = [pose.timestamp_us for pose in reel.poses]
    assert times == sorted(set(times))


def test_the_same_command_goes_on_and_another_model_is_refused(
    clip: Path, config: FinetuneConfig, tuned: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "held_out", lambda *_: [])
    run = tuned[0]
    console = Console(record=True, width=120)
    done = finetune([clip], run, config, RunConfig(steps=3, warm_up=1), console)
    assert done.prepared.clips == 0
    assert done.result is not None
    assert done.result.step == 3
    assert "nothing to test on" in console.export_text()
    other = tmp_path / "other.safetensors"
    checkpoint.save(other, AvatarModel.fresh(PRESETS["test"], seed=2), ("codec", "adapt"))
    with pytest.raises(DataError, match="begun with another model"):
        finetune([clip], run, replace(config, model=str(other)), RunConfig(steps=3), console)


def test_an_interruption_while_preparing_comes_before_any_training(
    clip: Path, config: FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.prepare import preparation

    choose = preparation.choose_portrait

    def interrupted(*args: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return choose(*args)

    monkeypatch.setattr(preparation, "choose_portrait", interrupted)
    quick = replace(config, prepare=replace(config.prepare, take_frames=8))
    done = finetune([clip], tmp_path, quick, RunConfig(steps=1), Console(quiet=True))
    assert done.result is None
    assert not (tmp_path / MODEL).exists()


def test_a_model_that_has_learned_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / MODEL
    model = AvatarModel.fresh(PRESETS["test"])
    checkpoint.save(path, model)
    with pytest.raises(InvalidConfigError, match=r"is untrained; finetune goes on from a model with a trained codec"):
        trained_weights(str(path))
    checkpoint.save(path, model, ("codec",))
    with pytest.raises(InvalidConfigError, match="has only been through codec"):
        trained_weights(str(path))
    checkpoint.save(path, model, ("codec", "adapt"))
    assert trained_weights(str(path)) == path
    with pytest.raises(InvalidConfigError, match="no checkpoint behind --model nothing"):
        trained_weights("nothing")


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"0\.9"):
        FinetuneConfig(held_out=0.9)


def test_parts_lie_under_their_own_names_and_unknown_ones_are_named() -> None:
    model = AvatarModel.fresh(CONFIG)
    part = branches(model, ("conditioner", "generator.blocks.1", "generator.head"))
    names = set(part.state_dict())
    assert names < set(model.state_dict())
    assert {name.split(".")[0] for name in names} == {"conditioner", "generator"}
    assert part.get_submodule("generator.blocks.1") is model.generator.blocks[1]
    with pytest.raises(InvalidConfigError, match=r"no part 'generator\.blocks\.9'; parts lie within conditioner"):
        branches(model, ("generator.blocks.9",))


@pytest.mark.parametrize("name", ["test", "lite"])
def test_every_preset_has_the_parts_that_a_cpu_trains(name: str) -> None:
    model = AvatarModel.fresh(PRESETS[name])
    light = sum(p.numel() for p in branches(model, light_parts(PRESETS[name])).parameters())
    assert 0 < light < sum(p.numel() for p in model.parameters()) / 2


def test_without_a_game_the_stage_needs_no_discriminator() -> None:
    model = AvatarModel.fresh(CONFIG, seed=1)
    walk = RolloutConfig(2, segment=2, overlap=0)
    config = AdversarialConfig(2, walk, game_weight=0, pixel_frames=1, lr=1e-2, parts=("decoder.last",))
    stage = AdversarialStage(model, None, config)
    assert set(stage.optimisers) == {"generator"}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stage.step(drawn_batch(1, 2), 0, torch.Generator().manual_seed(0))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"decoder.last.weight", "decoder.last.bias"}


def test_the_table_says_what_is_better() -> None:
    means = {
        "clip": {
            "warp": {"psnr_eyes": 20.0},
            "before": {"psnr_eyes": 21.0, "akd_all": 0.02, "move": 1.2, "missed": 0.0},
            "after": {"psnr_eyes": 22.0, "akd_all": 0.03, "move": 0.9, "missed": 0.0},
        }
    }
    console = Console(record=True, width=120)
    console.print(table(means, "held out"))
    rows = {line.split("│")[1].strip(): line for line in console.export_text().splitlines() if "│" in line}
    assert "better" in rows["psnr_eyes"]
    assert "worse" in rows["akd_all"]
    assert "better" in rows["move"]
    assert "same" in rows["missed"]
    assert gained("sharp_mouth", 0.9, 1.2) < 0


def test_the_command_prints_what_to_do_next_and_refuses_in_one_line(
    clip: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.cli import app

    untrained = tmp_path / "fresh.safetensors"
    checkpoint.save(untrained, AvatarModel.fresh(PRESETS["test"]))
    run = CliRunner().invoke(app, ["finetune", str(clip), "--run", str(tmp_path / "a"), "--model", str(untrained)])
    assert run.exit_code == 2
    assert "is untrained" in run.output
    assert not (tmp_path / "a").exists()
    wrong = ["finetune", str(clip), "--run", str(tmp_path / "c"), "--model", str(weights), "--parts", "generator.hed"]
    run = CliRunner().invoke(app, wrong)
    assert "no part 'generator.hed'" in run.output
    assert not (tmp_path / "c/data").exists(), "that is said before the clip is read"
    short = tmp_path / "short.mp4"
    write_video(short, [image for image, _ in VideoSource(clip)][:20])
    run = CliRunner().invoke(app, ["finetune", str(short), "--run", str(tmp_path / "b"), "--model", str(weights)])
    assert run.exit_code == 2
    assert "16 too short" in run.output
    assert "no clip could be made of 1 videos" in run.output
