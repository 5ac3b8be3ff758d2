"""The same checkpoint on every runtime: the same pictures, and as long as nothing was trained, the warp."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError
from avatar_client.pose_file import PoseReader

from avatar_sdk.motion import Motion, Retargeter
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.runtime import ASSETS, load_runtime
from avatar_sdk.runtime.onnx import OnnxRuntime

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.export import export, export_preset  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from avatar_sdk.runtime.torch import TorchRuntime  # noqa: E402


@pytest.fixture(scope="module")
def portrait(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(width_px=128, height_px=128))


@pytest.fixture(scope="module")
def motions(portrait: Portrait, sample_poses: Path) -> list[Motion]:
    retargeter = Retargeter(portrait.landmarks)
    state = retargeter.start()
    poses = PoseReader(sample_poses)
    return [retargeter.step(state, poses[4 * k], 41_667 * k) for k in range(14)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network whose last layer is not zero, as if trained."""
    folder = tmp_path_factory.mktemp("exported")
    model = AvatarModel.fresh(PRESETS["test"], seed=5)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.05)
    checkpoint.save(folder / checkpoint.WEIGHTS, model, ("codec", "adapt"))
    export(folder / checkpoint.WEIGHTS, folder)
    return folder


def render(runtime: object, portrait: Portrait, motions: list[Motion], seed: int = 0) -> np.ndarray:
    state = runtime.start(portrait, seed)  # type: ignore[attr-defined]
    return np.stack([runtime.render(state, runtime.predict(state, m)) for m in motions])  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [OnnxRuntime, TorchRuntime])
def test_an_untrained_network_is_the_warp_although_all_of_it_runs(
    kind: type, portrait: Portrait, motions: list[Motion], tmp_path: Path
) -> None:
    export_preset("test", tmp_path)
    runtime = kind(tmp_path if kind is OnnxRuntime else tmp_path / checkpoint.WEIGHTS)
    assert runtime.trained_stages == ()
    state = runtime.start(portrait)
    drafts = [runtime.predict(state, m) for m in motions[:3]]
    shown = np.stack([runtime.render(state, d) for d in drafts])
    assert np.array_equal(shown, render(load_runtime("warp"), portrait, motions[:3]))
    assert np.abs(drafts[2].latent - drafts[1].latent).max() > 0.1


@pytest.mark.parametrize("model", ["lite", "torch:lite"])
def test_the_default_has_learned_and_stays_near_the_warp(model: str, portrait: Portrait, motions: list[Motion]) -> None:
    runtime = load_runtime(model)
    assert runtime.trained_stages == ("codec", "adapt", "distill", "adversarial")
    shown, warped = (render(one, portrait, motions).astype(int) for one in (runtime, load_runtime("warp")))
    apart = np.abs(shown - warped)
    assert 0 < apart.mean() < 4
    assert apart.max() > 8


@pytest.mark.parametrize("name", ["lite", "test"])
def test_onnx_and_torch_agree(name: str, exported: Path, portrait: Portrait, motions: list[Motion]) -> None:
    folder = exported if name == "test" else ASSETS / "lite"
    a, b = OnnxRuntime(folder), TorchRuntime(folder / checkpoint.WEIGHTS)
    state_a, state_b = a.start(portrait, 3), b.start(portrait, 3)
    for motion in motions[:11]:
        draft_a, draft_b = a.predict(state_a, motion), b.predict(state_b, motion)
        assert np.abs(draft_a.latent - draft_b.latent).max() <= 1e-3
        shown_a, shown_b = a.render(state_a, draft_a), b.render(state_b, draft_b)
        assert np.abs(shown_a.astype(int) - shown_b).max() <= 1


def test_a_trained_network_changes_the_picture_and_its_seed_matters(
    exported: Path, portrait: Portrait, motions: list[Motion]
) -> None:
    runtime = OnnxRuntime(exported)
    first = render(runtime, portrait, motions, 1)
    assert np.array_equal(first, render(runtime, portrait, motions, 1))
    assert not np.array_equal(first, render(runtime, portrait, motions, 2))
    assert not np.array_equal(first, render(load_runtime("warp"), portrait, motions))


def test_two_interleaved_avatars_equal_each_alone(exported: Path, portrait: Portrait, motions: list[Motion]) -> None:
    runtime = OnnxRuntime(exported)
    alone = [render(runtime, portrait, order, seed) for seed, order in ((1, motions), (2, motions[::-1]))]
    states = [runtime.start(portrait, seed) for seed in (1, 2)]
    for k, pair in enumerate(zip(motions, motions[::-1], strict=True)):
        for i, motion in enumerate(pair):
            assert np.array_equal(runtime.render(states[i], runtime.predict(states[i], motion)), alone[i][k])


def test_rendering_may_lag_behind_predicting(exported: Path, portrait: Portrait, motions: list[Motion]) -> None:
    runtime = OnnxRuntime(exported)
    state = runtime.start(portrait, 1)
    drafts = [runtime.predict(state, motion) for motion in motions]
    assert np.array_equal(np.stack([runtime.render(state, d) for d in drafts]), render(runtime, portrait, motions, 1))


def test_another_portrait_may_be_shown_while_running(
    exported: Path, portrait: Portrait, motions: list[Motion], sample_portrait: Path
) -> None:
    runtime = OnnxRuntime(exported)
    state = runtime.start(portrait, 1)
    before = runtime.render(state, runtime.predict(state, motions[0]))
    runtime.replace_portrait(state, load_portrait(sample_portrait, PortraitConfig(128, 128, framing=2.2)))
    after = runtime.render(state, runtime.predict(state, motions[0]))
    assert np.abs(before.astype(int) - after).mean() > 3


def test_a_model_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(InvalidConfigError, match=r"no model 'nonsense'; use warp, lite"):
        load_runtime("nonsense")


def test_a_damaged_export_says_what_is_missing(exported: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(exported, tmp_path / "broken"))
    index = json.loads((broken / checkpoint.INDEX).read_text())
    index["decoder"].append("model.decoder.nonsense")
    (broken / checkpoint.INDEX).write_text(json.dumps(index))
    with pytest.raises(InvalidConfigError, match=r"needs the weight 'decoder.nonsense'"):
        OnnxRuntime(broken)
    (broken / "decoder.onnx").unlink()
    with pytest.raises(InvalidConfigError, match="has no graph decoder"):
        OnnxRuntime(broken)
    (broken / checkpoint.INDEX).unlink()
    with pytest.raises(InvalidConfigError, match="export the checkpoint again"):
        OnnxRuntime(broken)


def test_a_trained_codec_without_a_trained_generator_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "half"))
    checkpoint.save(folder / checkpoint.WEIGHTS, AvatarModel.fresh(PRESETS["test"]), ("codec",))
    for runtime in (lambda: OnnxRuntime(folder), lambda: TorchRuntime(folder / checkpoint.WEIGHTS)):
        with pytest.raises(InvalidConfigError, match="its generator is not"):
            runtime()
