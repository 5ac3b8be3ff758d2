"""A public video generator becomes an avatar: all stages by their commands, on tiny networks of its layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from picture_clips import picture_shards  # noqa: E402
from typer.testing import CliRunner  # noqa: E402
from video_models import CODECS, GENERATORS, codec_of, generator_of, save_part  # noqa: E402

from avatar_sdk.model.checkpoint import load_codec, load_generator, read_part  # noqa: E402
from training.cli import app  # noqa: E402

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
def test_all_stages_leave_a_checkpoint_that_loads(
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
