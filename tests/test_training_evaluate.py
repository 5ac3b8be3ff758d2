"""What `training evaluate` says of an avatar."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from avatar_sdk.portrait import PortraitConfig
from avatar_sdk.runtime.guide import at_rest
from avatar_sdk.runtime.warp import WarpRuntime
from training.errors import DataError
from training.evaluate.drift import DriftConfig, drift
from training.evaluate.evaluation import EvaluationConfig, evaluate
from training.evaluate.landmarks import LandmarkFinder
from training.evaluate.measures import Truth, gmsd, measure
from training.evaluate.reel import Reel, clips_in, read_reel
from training.evaluate.reenactment import reduced, reenact
from training.evaluate.stillness import StillnessConfig
from training.evaluate.systems import (
    MODEL,
    NO_CACHE,
    NO_GENERATOR,
    NO_RECYCLE,
    PAINTED,
    STATIC,
    WARP,
    StaticRuntime,
    systems,
)
from training.evaluate.verdicts import bootstrap, verdicts
from training.synthesize import SynthesisConfig, film_video

LITE = Path(__file__).parent.parent / "avatar_sdk/assets/lite/model.safetensors"
SMALL = PortraitConfig(width_px=256, height_px=256, framing=2.2)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered person, with exact landmarks beside the file."""
    return film_video(tmp_path_factory.mktemp("films"), SynthesisConfig(seed=3), person=1, seconds=0.7)


@pytest.fixture(scope="module")
def reel(video: Path) -> Reel:
    return read_reel(video, SMALL, "exact")


@pytest.fixture(scope="module")
def find() -> LandmarkFinder:
    return LandmarkFinder()


def test_the_first_frame_is_its_own_avatar(reel: Reel) -> None:
    error = np.abs(reduced(reel.portrait.image).astype(float) - reel.truth(0))
    assert error.mean() < 2


def test_the_truth_is_measured_as_perfect(reel: Reel, find: LandmarkFinder) -> None:
    image = reel.truth(5)
    points = find(image)
    assert points is not None
    perfect = measure(Truth.of(image, points), image, points)
    assert perfect["psnr_head"] > 70
    assert perfect["ssim_mouth"] == pytest.approx(1, abs=1e-6)
    assert perfect["msssim_mouth"] == pytest.approx(1, abs=1e-6)
    assert perfect["gmsd_eyes"] == pytest.approx(0, abs=1e-6)
    assert perfect["akd_all"] == 0
    assert perfect["sharp_mouth"] == pytest.approx(1, abs=1e-6)


def test_measures_order_a_small_and_a_large_error(reel: Reel, find: LandmarkFinder) -> None:
    image = reel.truth(5)
    points = find(image)
    assert points is not None
    truth = Truth.of(image, points)
    near, far = (measure(truth, np.roll(image, pixels, 1), points + np.float32([pixels, 0, 0])) for pixels in (1, 6))
    for kind in ("psnr_mouth", "ssim_eyes", "msssim_mouth"):
        assert near[kind] > far[kind]
    for kind in ("akd_mouth", "akd_iris", "gmsd_mouth"):
        assert near[kind] < far[kind]


def test_gmsd_does_not_see_a_change_of_brightness() -> None:
    image = np.random.default_rng(0).integers(0, 200, (96, 96, 3)).astype(np.uint8)
    assert gmsd(image + np.uint8(20), image) == pytest.approx(0, abs=1e-3)


def test_the_warp_is_closer_to_the_truth_than_a_static_portrait(reel: Reel, find: LandmarkFinder) -> None:
    done = reenact(reel, {STATIC: StaticRuntime(), PAINTED: WarpRuntime()}, find, step=4)
    assert done.measured == (len(reel) - 1) // 4
    moved, static = (done.performances[name].means() for name in (PAINTED, STATIC))
    assert moved["psnr_head"] > static["psnr_head"] + 1
    assert moved["akd_all"] < static["akd_all"]
    assert static["move"] == 0
    assert 0.5 < moved["move"] < 1.5
    assert done.sheet["truth"].shape == done.sheet[STATIC].shape


def test_an_evaluation_leaves_table_plots_and_sheets(video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    photos = (Path(__file__).parent.parent / "avatar_sdk/assets/sample_portrait.png",)
    config = EvaluationConfig(
        "torch:lite",
        step=5,
        seconds=0.25,
        size_px=256,
        landmarks="exact",
        stillness=StillnessConfig(frames=4, settle=1),
        drift=DriftConfig(frames=16, period=4, begin_s=0.1, poses=2),
        portraits=photos,
    )
    console = Console(record=True, width=140)
    evaluate([broken, video], tmp_path / "out", config, console)
    text = console.export_text()
    assert "left out" in text
    assert "broken.mp4" in text
    content = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert set(content["means"][video.stem]) == {
        *(STATIC, WARP, PAINTED, MODEL),
        *(NO_RECYCLE, NO_CACHE, NO_GENERATOR),
    }
    assert "jitter" in content["means"][video.stem][MODEL]
    assert len(content["drift"][video.stem]["seconds"]) >= 2
    for name in ("over_time.png", "drift.png", f"{video.stem}.png", "cross_sample_portrait.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_the_warp_never_drifts(reel: Reel, find: LandmarkFinder) -> None:
    found = drift(reel, WarpRuntime(), find, DriftConfig(frames=24, period=6, begin_s=0.2, poses=3))
    assert max(found.last.values()) < 0.005


def test_a_brightening_avatar_drifts(reel: Reel, find: LandmarkFinder) -> None:
    class Brightening(WarpRuntime):
        frames = 0

        def render(self, state, draft):  # type: ignore[no-untyped-def]
            self.frames += 1
            image = super().render(state, draft)
            return np.minimum(image.astype(int) + self.frames, 255).astype(np.uint8)

    found = drift(reel, Brightening(), find, DriftConfig(frames=24, period=6, begin_s=0.2, poses=3))
    assert found.last["L"] > 0.02
    assert found.curves["L"] == sorted(found.curves["L"])


def test_verdicts_compare_with_the_better_warp_and_name_the_worst_clip() -> None:
    def clip(warp: float, painted: float, model: float) -> dict[str, dict[str, float]]:
        common = {"sharp_mouth": 1.0, "move": 1.0, "akd_mouth": 0.01}
        return {
            name: {**common, "psnr_open": value, "psnr_eyes": value + 9}
            for name, value in ((WARP, warp), (PAINTED, painted), (MODEL, model))
        }

    lines = {line.what: line for line in verdicts({"a": clip(20, 21, 22), "b": clip(20, 21, 20.5)})}
    gain = lines["open mouth, PSNR"]
    assert gain.value == pytest.approx(0.25)
    assert gain.low <= gain.value <= gain.high
    assert not gain.met
    worst = next(line for what, line in lines.items() if what.startswith("worst"))
    assert worst.what.endswith("(b, open)") or worst.what.endswith("(b, eyes)")
    assert worst.value == pytest.approx(-0.5)
    assert not worst.met
    assert not lines["mouth, AKD"].met
    assert lines["mouth, sharpness of the truth's"].met


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_agreement() -> None:
    wide, narrow = bootstrap([0.0, 1.0, 2.0, 3.0]), bootstrap([1.4, 1.5, 1.6, 1.5])
    assert wide[0] < 1.5 < wide[1]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def test_bad_folders_and_files_are_named(tmp_path: Path, video: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        clips_in([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no video"):
        clips_in([tmp_path])
    alone = tmp_path / "alone.mp4"
    alone.write_bytes(video.read_bytes())
    with pytest.raises(DataError, match=r"alone\.poses does not exist"):
        read_reel(alone, SMALL, "exact")
    with pytest.raises(DataError, match="none of the 1 clips"):
        evaluate([alone], tmp_path / "out", replace(EvaluationConfig("warp"), landmarks="exact"), Console(quiet=True))


def test_without_a_checkpoint_there_is_nothing_to_forget() -> None:
    assert NO_CACHE not in systems("warp", None)


def test_without_its_generator_the_decoder_is_given_nothing(reel: Reel) -> None:
    motion = at_rest(reel.portrait)
    runtime = systems("torch:lite", LITE)[NO_GENERATOR]()
    state = runtime.start(reel.portrait)
    drafts = [runtime.predict(state, motion) for _ in range(2)]
    assert not any(draft.latent.any() for draft in drafts)
    assert state.latent.any(), "its own memory goes on"
