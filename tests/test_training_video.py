"""A public video generator becomes an avatar: all stages by their commands, on tiny networks of its layout."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_client.errors import InvalidConfigError  # noqa: E402
from picture_clips import picture_clip, picture_shards  # noqa: E402
from service import POSES, SIZE_PX, photo  # noqa: E402
from typer.testing import CliRunner  # noqa: E402
from video_models import CODECS, GENERATORS, TAEHV, codec_of, generator_of, save_part  # noqa: E402

from avatar_sdk.engine import Engine, EngineConfig  # noqa: E402
from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.checkpoint import load_codec, load_generator, read_part  # noqa: E402
from avatar_sdk.model.presets import PRESETS  # noqa: E402
from avatar_sdk.model.video.config import VideoCodecConfig  # noqa: E402
from avatar_sdk.portrait import PortraitConfig, load_portrait  # noqa: E402
from training.cli import app  # noqa: E402
from training.data import ShardWriter  # noqa: E402
from training.video.text import save_text  # noqa: E402

STAGES = {
    "adapt": (),
    "distill": (),
    "adversarial": ("--rollout", "4", "--segment", "2", "--overlap", "1"),
}


def run(*words: object, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [str(word) for word in words], prog_name="training")
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_shards(tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generators and codecs as `avatar models import` writes them."""
    folder = tmp_path_factory.mktemp("imported")
    for name, config in GENERATORS.items():
        save_part(folder / f"{name}.generator", generator_of(config).lower(torch.bfloat16), "generator", source="wan")
    for name, codec in CODECS.items():
        save_part(folder / f"{name}.codec", codec_of(codec), "codec", source=name)
    return folder


@pytest.mark.parametrize(
    ("generator", "codec", "options"),
    [
        ("wan", "wan", ()),
        ("wan", "taehv", ("--lora", "2", "--recompute", "--condition", "codec")),
        ("two streams", "light", ("--lora", "2")),
        ("no text", "taehv", ("--recompute", "--condition", "maps")),
    ],
)
def test_all_stages_leave_what_loads_and_is_served(
    generator: str, codec: str, options: tuple[str, ...], imported: Path, data: Path, tmp_path: Path
) -> None:
    begin = ("--init", imported / f"{generator}.generator", "--codec", imported / f"{codec}.codec")
    taught = [word for word in options if word not in ("--condition", "codec", "maps")]
    for stage, own in STAGES.items():
        first = (*begin, *options) if stage == "adapt" else taught
        run(stage, "--data", data, "--run", tmp_path, "--steps", 2, "--frames", 9, "--lr", 1e-3, *own, *first)
        curve = [json.loads(line) for line in (tmp_path / stage / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in curve] == [1, 2]
    trained, header = load_generator(tmp_path / "model.safetensors")
    assert header.stages == tuple(STAGES)
    before = load_generator(imported / f"{generator}.generator")[0].state_dict()
    after = trained.state_dict()
    assert {name: w.dtype for name, w in after.items()} == {name: w.dtype for name, w in before.items()}
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("blocks.0"))
    video, _ = load_codec(tmp_path / "codec.safetensors")
    assert (video.stem is None) == ("codec" in options)
    old = load_codec(imported / f"{codec}.codec")[0]
    assert all(torch.equal(w, video.encoder.state_dict()[name]) for name, w in old.encoder.state_dict().items())
    assert read_part(tmp_path / "codec.safetensors").stages == tuple(STAGES)
    engine = Engine.load(EngineConfig(model=f"torch:{tmp_path}"))
    avatar = engine.open(load_portrait(photo(), PortraitConfig(width_px=SIZE_PX, height_px=SIZE_PX)))
    pictures = [engine.step(avatar, POSES[k], k * 41_667).image for k in range(6)]
    assert not np.array_equal(pictures[4], pictures[5]), "each pose has its frame"
    with pytest.raises(InvalidConfigError, match=rf"`avatar serve --model {tmp_path}` serves it"):
        checkpoint.read_header(tmp_path / "model.safetensors")


def refused(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], prog_name="training")
    assert done.exit_code not in (0, None), done.output
    assert not isinstance(done.exception, (AssertionError, KeyError, RuntimeError, TypeError)), done.exception
    return " ".join(done.output.split())


@pytest.fixture
def nothing_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a weight was read")

    monkeypatch.setattr("avatar_sdk.model.weights.read_weights", fail)


@pytest.mark.usefixtures("nothing_is_allocated")
def test_what_does_not_fit_is_refused_before_a_weight_is_read(imported: Path, data: Path, tmp_path: Path) -> None:
    generator, codec = imported / "wan.generator", imported / "taehv.codec"
    other = replace(TAEHV, latent_channels=8)
    narrow = save_part(tmp_path / "narrow.codec", codec_of(VideoCodecConfig(other, other)), "codec")
    crops = tmp_path / "crops"
    with ShardWriter(crops, {"source": "drawn"}) as writer:
        writer.add(picture_clip(0))
    odd = tmp_path / "odd"
    with ShardWriter(odd, {"source": "drawn", "picture": [56, 40]}) as writer:
        writer.add(picture_clip(0))
    save_text(tmp_path / "wide.text", torch.zeros(2, 9), "", "other")
    begin = ("adapt", "--run", tmp_path / "run", "--data", data, "--frames", 9, "--init", generator, "--codec", codec)
    wanted = {
        ("--preset", "wan-1.3b"): "of no preset, not wan-1.3b",
        ("--preset", "wan-2b"): "there is no preset 'wan-2b'; there are wan-1.3b",
        ("--codec", narrow): "makes latents of 8 channels, the generator takes 16",
        ("--codec", generator): "holds a generator; --codec takes a codec",
        ("--codec", "wan21"): "there is no checkpoint at wan21; give --codec, a file that `avatar models import`",
        ("--init", codec): "holds a codec; --init takes a generator",
        ("--frames", 13): "2 of 2 clips in",
        ("--frames", 8): "8 frames are no whole number of latents",
        ("--data", crops): "holds face crops",
        ("--data", odd): "pictures must be of one size",
        ("--text-embedding", tmp_path / "wide.text"): "2 tokens of 9 numbers; this generator takes at most 5 of 6",
        ("--portable", tmp_path): "--portable is for small models",
    }
    for words, message in wanted.items():
        assert message in refused(*begin, *words), words
    only = ("adapt", "--run", tmp_path / "run", "--frames", 9, "--init", generator, "--codec", codec, "--data", odd)
    assert "56×40 does not divide into tokens of 16×16 pixels" in refused(*only)
    assert not (tmp_path / "run" / "adapt").exists()


def test_later_stages_need_the_first(imported: Path, data: Path, tmp_path: Path) -> None:
    shutil.copy(imported / "wan.codec", tmp_path / "codec.safetensors")
    shutil.copy(imported / "wan.generator", tmp_path / "model.safetensors")
    for stage in ("distill", "adversarial"):
        said = refused(stage, "--data", data, "--run", tmp_path, "--frames", 9)
        assert f"{stage} needs adapt before it: `python -m training adapt`" in said


def test_a_run_that_is_continued_otherwise_is_refused(imported: Path, data: Path, tmp_path: Path) -> None:
    begin = ("--init", imported / "wan.generator", "--codec", imported / "taehv.codec", "--frames", 9)
    words = ("adapt", "--data", data, "--run", tmp_path, *begin, "--lora", 2)
    run(*words, "--steps", 1)
    assert "was made with lora 2, not 3" in refused(*words[:-1], 3, "--steps", 2)
    run(*words, "--steps", 2)


def test_options_of_video_generators_are_refused_for_the_small_model(data: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model.safetensors", AvatarModel.fresh(PRESETS["test"]), ("codec", "adapt"))
    for stage in ("adapt", "distill"):
        said = refused(stage, "--data", data, "--run", tmp_path, "--lora", 2)
        assert "--lora is for video generators, and the model to begin with is none" in said
    assert "holds whole pictures, for video generators" in refused("adapt", "--data", data, "--run", tmp_path)


def test_who_serves_is_told_what_is_missing(imported: Path, data: Path, tmp_path: Path) -> None:
    generator = imported / "wan.generator"
    with pytest.raises(InvalidConfigError, match=rf"`python -m training adapt --init {generator} --codec CODEC"):
        checkpoint.read_header(generator)
    with pytest.raises(InvalidConfigError, match=rf"adapt --init GENERATOR --codec {imported / 'wan.codec'}"):
        checkpoint.read_header(imported / "wan.codec")
    run(
        *("adapt", "--data", data, "--run", tmp_path, "--steps", 1, "--frames", 9),
        *("--init", generator, "--codec", imported / "taehv.codec"),
    )
    with pytest.raises(InvalidConfigError, match=rf"it needs `python -m training distill --data .* --run {tmp_path}`"):
        checkpoint.read_header(tmp_path / "model.safetensors")


def test_too_small_a_device_is_refused_before_a_weight_is_read(
    nothing_is_allocated: None, imported: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.setting.choose_device", lambda *_: "cuda")
    monkeypatch.setattr("training.video.memory.free_bytes", lambda _: 1000)
    begin = ("--init", imported / "wan.generator", "--codec", imported / "wan.codec", "--frames", 9)
    said = refused("adapt", "--data", data, "--run", tmp_path, *begin)
    assert "adapt needs" in said
    assert "GB are free" in said
