"""What `training export` writes, keeps and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from avatar_client.errors import InvalidConfigError, MissingDependencyError  # noqa: E402

from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from avatar_sdk.runtime import load_runtime  # noqa: E402
from avatar_sdk.runtime.onnx_network import OnnxNetwork  # noqa: E402
from training.data import Clip  # noqa: E402
from training.drawn_face import drawn_clip  # noqa: E402
from training.errors import ParityError  # noqa: E402
from training.export import trial  # noqa: E402
from training.export.player import mouth_psnr_db, play, play_modules  # noqa: E402
from training.export.trial import ExportConfig, export_measured  # noqa: E402
from training.export.variants import VARIANTS  # noqa: E402

FRAMES = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learned nothing, but whose decoder speaks."""
    model = AvatarModel.fresh(PRESETS["test"], 3)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.02)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    checkpoint.save(path, model, ("codec", "adapt"))
    return path


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [drawn_clip(seed, FRAMES, PRESETS["test"].codec.crop_px) for seed in (1, 2)]


def test_every_variant_runs_and_says_what_it_costs(source: Path, clips: list[Clip], tmp_path: Path) -> None:
    done = export_measured(source, tmp_path / "out", clips, ExportConfig(rounds=1, time_share=100, loss_db=100))
    assert max(done.parity.values()) <= 1e-3
    assert [one.name for one in done.trials] == list(VARIANTS)
    assert all(one.kept and one.time_ms > 0 for one in done.trials)
    plain = list(play(OnnxNetwork(_plain(source, tmp_path)), clips[-1]))
    kept = list(play(OnnxNetwork(tmp_path / "out"), clips[-1]))
    apart = np.mean([np.abs(a.residual - b.residual) for a, b in zip(plain, kept, strict=True)])
    assert 0 < apart < 0.25 * np.mean([np.abs(a.residual) for a in plain])
    assert len(json.loads((tmp_path / "out/export.json").read_text())["trials"]) == 3


def test_a_generator_in_8_bits_is_another_one(source: Path, clips: list[Clip], tmp_path: Path) -> None:
    config = ExportConfig(1, time_share=100, loss_db=100, only=("int8 generator",))
    assert export_measured(source, tmp_path / "out", clips, config).trials[0].kept
    plain, kept = (
        np.stack([step.latent for step in play(OnnxNetwork(folder), clips[0])])
        for folder in (_plain(source, tmp_path), tmp_path / "out")
    )
    assert 0 < np.abs(plain - kept).max() < 0.5


def test_what_is_slower_or_worse_is_not_kept(source: Path, clips: list[Clip], tmp_path: Path) -> None:
    slow = export_measured(source, tmp_path / "slow", clips, ExportConfig(1, time_share=0, only=("int8 decoder",)))
    worse = ExportConfig(1, time_share=100, loss_db=-100, only=("int8 decoder",))
    bad = export_measured(source, tmp_path / "bad", clips, worse)
    assert "not faster" in slow.trials[0].reason
    assert "dB" in bad.trials[0].reason
    plain = _plain(source, tmp_path)
    assert (tmp_path / "bad/decoder.onnx").read_bytes() == (plain / "decoder.onnx").read_bytes()


def test_graphs_that_compute_something_else_are_refused(source: Path, clips: list[Clip], tmp_path: Path) -> None:
    model, _ = checkpoint.load(source)
    wanted = play_modules(model, clips[0])
    wrong = [replace(step, latent=step.latent + np.float32(0.01)) for step in wanted]
    with pytest.raises(ParityError, match=r"latent is .* away"):
        trial._parity(wanted, wrong)


def test_psnr_sees_a_mouth_that_is_painted_over(source: Path, clips: list[Clip]) -> None:
    model, _ = checkpoint.load(source)
    steps = play_modules(model, clips[0])
    silent = [replace(step, residual=np.zeros_like(step.residual)) for step in steps]
    loud = [replace(step, residual=np.ones_like(step.residual)) for step in steps]
    assert mouth_psnr_db(clips[0], loud) < mouth_psnr_db(clips[0], silent) - 3


def test_without_clips_only_plain_graphs_are_written(source: Path, tmp_path: Path) -> None:
    assert export_measured(source, tmp_path / "out", []).trials == []
    assert not (tmp_path / "out/export.json").exists()
    assert OnnxNetwork(tmp_path / "out").trained_stages == ("codec", "adapt")


def test_a_variant_that_does_not_exist_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="no variant 'int4'; there are fused attention, int8"):
        export_measured(source, tmp_path / "out", [], ExportConfig(only=("int4",)))


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidConfigError, match=r"weights\.safetensors"):
        export_measured(path, tmp_path / "out", [])


def test_cuda_that_is_not_there_is_named() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(MissingDependencyError, match="CUDAExecutionProvider"):
        load_runtime("cuda:lite")


def _plain(source: Path, folder: Path) -> Path:
    if not (folder / "plain").is_dir():
        export_measured(source, folder / "plain", [])
    return folder / "plain"
