"""The benchmark of a large generator, at the size of a test."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from avatar_client.errors import InvalidConfigError, InvalidVideoError, MissingDependencyError
from typer.testing import CliRunner

from avatar_sdk.bench import video_plots
from avatar_sdk.bench.video import run_video
from avatar_sdk.bench.video_figures import VideoBench, VideoBenchConfig
from avatar_sdk.bench.video_plots import plot_video
from avatar_sdk.bench.video_sizes import MEASURED, video_size
from avatar_sdk.cli import app

torch = pytest.importorskip("torch", reason="large generators need torch; install the extra `train` or `gpu`")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from video_models import CODECS, GENERATOR, GENERATORS, codec_of, generator_of  # noqa: E402

from avatar_sdk.model.video_presets import RESOLUTIONS, Resolution  # noqa: E402
from avatar_sdk.runtime.torch.video.attention import VideoAttention  # noqa: E402
from avatar_sdk.runtime.torch.video.config import VideoConfig  # noqa: E402
from avatar_sdk.runtime.torch.video.fidelity import random_text  # noqa: E402
from avatar_sdk.runtime.torch.video.stages import compare_layouts  # noqa: E402
from avatar_sdk.runtime.torch.video.step import Kind  # noqa: E402
from avatar_sdk.runtime.torch.video.stream import VideoStream  # noqa: E402
from avatar_sdk.runtime.torch.video.work import video_work  # noqa: E402

STAGES = {"upload", "warp", "condition", "generator", "decode", "fetch"}


def measured(**changes: object) -> tuple[VideoBench, str]:
    said: list[str] = []
    bench = run_video(replace(VideoBenchConfig("test", steps=2), **changes), said.append)  # type: ignore[arg-type]
    assert bench is not None
    return bench, "\n".join(said)


def test_every_figure_is_printed_and_written(tmp_path: Path) -> None:
    bench, said = measured(compare="self-forcing-layout", hours=1, fp8=True, fp8_cache=True)
    bench.save(tmp_path / "b.json")
    saved = json.loads((tmp_path / "b.json").read_text())
    (row,) = saved["rows"]
    assert set(row["stages_ms"]) == STAGES
    assert all(spent > 0 for spent in row["stages_ms"].values())
    assert set(row["tflops"]) == set(row["share"]) == {"condition", "generator", "decode"}
    for stage, share in row["share"].items():
        rate = row["work"][stage] / row["stages_ms"][stage] * 1000
        assert row["tflops"][stage] == pytest.approx(rate, rel=1e-3)
        assert share == pytest.approx(rate / saved["ceilings"]["product_tflops"], rel=1e-3)
    assert row["with_decode"]["fps"] == pytest.approx(4000 / row["with_decode"]["ms"], rel=0.01)
    assert 0 < row["latency_ms"]["first_frame_p50"] <= row["latency_ms"]["p50"] <= row["latency_ms"]["p95"]
    assert row["layout"]["ratio"] == pytest.approx(row["layout"]["shifting_ms"] / row["layout"]["ring_ms"], abs=6e-4)
    assert 0 < row["fp8_error"]["first"] < 0.2
    assert row["positions"]["at_latent"] == 21_600
    assert row["positions"]["cache_bytes_change"] == 0
    assert row["peak_mib"] is None
    assert saved["weights"] == "random"
    assert saved["machine"]["packages"]["torch"]
    for words in ("random weights", "inferred from SeedVR", "of ceiling", "shift and clone", "8 bits", "from 21600 on"):
        assert words in said
    with pytest.raises(InvalidVideoError, match="cannot be written"):
        bench.save(tmp_path / "absent" / "b.json")


def test_a_sweep_measures_every_size_and_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, _ = measured(sweep=True)
    assert {(row.width_px, row.window) for row in bench.rows} == {(64, 2), (64, 4), (96, 2), (96, 4)}
    pytest.importorskip("matplotlib", reason="plots need matplotlib; install the extra `train`")
    plot_video(bench, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidVideoError, match="cannot be written"):
        plot_video(bench, tmp_path / "b.nothing")
    monkeypatch.setattr(video_plots, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"install avatar-sdk\[train\]"):
        plot_video(bench, tmp_path / "c.png")


def test_sizes_that_do_not_fit_the_device_are_left_out_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar_sdk.runtime.torch import device

    monkeypatch.setattr(device, "free_bytes", lambda name: 1000)
    bench, said = measured(sweep=True)
    assert not bench.rows
    assert len(bench.left_out) == 4
    assert "left out" in said
    with pytest.raises(InvalidConfigError, match="are free"):
        measured()


@pytest.mark.parametrize("codec", ["light", "wan"])
def test_other_codecs_and_a_stem_are_measured(codec: str) -> None:
    (row,) = measured(codec=codec, stem=True, overlapped=False)[0].rows
    assert "condition by a stem" in row.size
    assert row.work["decode"] > 0


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_arithmetic_of_the_generator_is_what_pytorch_counts(kind: str) -> None:
    """By a kernel that it can count; rotations, the time's own layers, and text of a layer of its own stand beside."""
    config = replace(GENERATORS[kind], dim=64)
    size, how, counted = Resolution(48, 32), VideoConfig(precision="float32"), VideoAttention("math", "math")
    stream = VideoStream(generator_of(config), codec_of(CODECS["taehv"]), size, how, attention=counted)
    stream.begin(stream.step.frames[0].numpy(), random_text(stream))
    condition = stream.step.condition(Kind.WARMING)
    with FlopCounterMode(display=False) as counter:
        stream.step.generate(condition, Kind.FULL)
    rotations = 3 * 2 * config.tokens * config.dim * config.head_dim * config.depth
    time = 2 * (config.freq_dim * config.dim + 7 * config.dim**2)
    crossed = 4 * config.tokens * config.text_tokens * config.dim * config.depth if kind == "wan" else 0
    work = video_work(config, CODECS["taehv"], size, how)
    expected = work.generator * 1e12 + rotations + time - crossed
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("preset", "resolution", "window", "linear", "attention"),
    [("aapt-8b", "416p", 30, 9.8, 20.4), ("aapt-8b", "720p", 6, 29.4, 46.3), ("wan-1.3b", "480p", 30, 3.9, 14.4)],
)
def test_the_arithmetic_is_that_of_the_reference(
    preset: str, resolution: str, window: int, linear: float, attention: float
) -> None:
    """Its sums leave out the first and last layer, and the text of a layer of its own."""
    size = video_size(preset, resolution, window)
    work = video_work(size.generator, size.codec, size.resolution, VideoConfig())
    assert work.linear == pytest.approx(linear, rel=0.04)
    assert work.attention == pytest.approx(attention, rel=0.04)
    assert work.decode == pytest.approx(0.404 * size.generator.tokens / 1196, rel=0.02)


def test_all_of_dit_8b_sees_video_and_half_of_aapt_8b() -> None:
    how = VideoConfig()
    for preset, seen in (("dit-8b", 8.05e9), ("aapt-8b", 4.08e9)):
        size = video_size(preset)
        assert video_work(size.generator, size.codec, size.resolution, how).video_parameters == pytest.approx(
            seen, rel=0.01
        )


def test_the_common_layout_makes_the_same_latents_but_for_the_second_pass() -> None:
    """With every slot filled and no second pass, moving the cache is only another order of the same keys."""
    from avatar_sdk.model.layers import Sink
    from avatar_sdk.runtime.torch.video.shifting import ShiftingStep

    config, how = GENERATOR, VideoConfig(precision="float32")
    stream = VideoStream(generator_of(config), codec_of(CODECS["taehv"]), Resolution(48, 32), how)
    portrait = stream.step.frames[0].numpy().copy()
    stream.begin(portrait, random_text(stream))
    with torch.inference_mode():
        rings = stream.step.rings
        sinks = [
            Sink(keys, layer.values.read()[:, :, rings.sink_rows])
            for keys, layer in zip(rings.sink_keys, rings.layers, strict=True)
        ]
        other = ShiftingStep(stream.step.generator, sinks, stream.step.prompts, stream.attention)
        recycled = torch.zeros(1, *config.latent_shape)
        for index in range(3 * config.window):
            feed = stream.step.feed
            feed.write(0, portrait[None], feed.noise(1, index), index, rings.at(index))
            feed.upload(0)
            condition = stream.step.condition(Kind.FULL)
            stream.step.generate(condition, Kind.FULL)
            recycled = other(feed.read(), recycled, condition, clean=False)
            assert float((recycled - stream.step.latent).abs().max()) < 1e-4
    layouts = compare_layouts(stream, how, 2)
    assert layouts.ratio == pytest.approx(layouts.shifting_ms / layouts.ring_ms)


def test_every_preset_has_its_sizes() -> None:
    for name in MEASURED:
        size = video_size(name)
        assert size.generator.tokens == math.prod(size.generator.grid_shape)
        assert size.generator.latent_channels == size.codec.decoder.latent_channels
    assert video_size("wan-5b", stem=True).codec.stem is not None
    assert video_size("aapt-8b", "416p", 30).resolution == RESOLUTIONS["416p"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "huge"), "preset is 'huge'; it must be one of test, wan-1.3b"),
        (("--preset", "lite"), "sessions of it are measured with --sessions"),
        (("--preset", "wan-5b", "--codec", "wan"), "for wan-5b it must be taehv"),
        (("--preset", "wan-5b", "--resolution", "720p"), "1280×720 does not divide into tokens of 32×32 pixels"),
        (("--preset", "test", "--resolution", "wide"), "resolution is 'wide'"),
        (("--preset", "test", "--window", "0"), "window is 0"),
        (("--preset", "test", "--device", "cuda:9"), "no CUDA device for 'cuda:9'"),
        (("--preset", "test", "--precision", "int4"), "must be float32 or bfloat16"),
        (("--preset", "test", "--compare", "magic"), "it must be self-forcing-layout"),
        (("--preset", "test", "--steps", "1"), "steps is 1"),
        (("--preset", "test", "--hours", "-1"), "hours is -1"),
        (("--preset", "test", "--sweep", "--window", "2"), "goes through resolutions and windows by itself"),
        (("--preset", "dit-8b", "--resolution", "720p", "--window", "300"), "GiB on the device"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 2, result.output
    assert said in result.stderr


@pytest.mark.timeout(300)
def test_two_processes_of_torchrun_measure_one_stream_and_one_speaks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "-m", "avatar_sdk.cli", "bench"]
    command += ["--preset", "test", "--device", "cpu", "--steps", "2", "--json", str(tmp_path / "b.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("of ceiling") == 1
    saved = json.loads((tmp_path / "b.json").read_text())
    assert saved["devices"] == 2
    (row,) = saved["rows"]
    assert row["cache_bytes"]["held"] < video_work_bytes() / 1.9


def video_work_bytes() -> float:
    """Keys and values that one process alone would hold, the sink's own keys included."""
    size, how = video_size("test"), VideoConfig(precision="float32")
    stream = VideoStream(generator_of(size.generator), codec_of(size.codec), size.resolution, how)
    stream.begin(stream.step.frames[0].numpy(), random_text(stream))
    return float(stream.step.rings.bytes)
