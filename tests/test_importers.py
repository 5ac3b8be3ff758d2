"""Published checkpoints become ours, whole and unchanged, or are refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
from avatar_client.errors import InvalidConfigError
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the networks need torch; install the extra `train`")

from public_checkpoints import ARRANGEMENTS, Weights, pickled, sharded, single  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from wan_reference import forward, public_shapes, random_weights  # noqa: E402

from avatar_sdk.cli import app  # noqa: E402
from avatar_sdk.importers import shards  # noqa: E402
from avatar_sdk.importers.conversion import plan, write  # noqa: E402
from avatar_sdk.importers.registry import LAYOUTS, detect  # noqa: E402
from avatar_sdk.importers.shards import Shards  # noqa: E402
from avatar_sdk.importers.wan import WAN_LAYOUTS  # noqa: E402
from avatar_sdk.model import checkpoint  # noqa: E402
from avatar_sdk.model.avatar import AvatarModel  # noqa: E402
from avatar_sdk.model.cache import NoCache, RingCache  # noqa: E402
from avatar_sdk.model.generator import Generator  # noqa: E402
from avatar_sdk.model.presets import PRESETS, GeneratorConfig  # noqa: E402
from avatar_sdk.model.video_presets import VIDEO_PRESETS  # noqa: E402
from avatar_sdk.runtime import load_runtime  # noqa: E402

TEXT, FREQ = 12, 32
INPUT = "patch_embedding.weight"
PUBLISHED = {
    "wan2.1-t2v-1.3b": ("wan-1.3b", public_shapes(1536, 8960, 30)),
    "wan2.1-t2v-14b": ("wan-14b", public_shapes(5120, 13824, 40)),
    "wan2.2-ti2v-5b": ("wan-5b", public_shapes(3072, 14336, 30, channels=48)),
}
"""Layout → preset and the shapes that were published."""


@pytest.fixture(scope="module")
def public() -> Weights:
    """A Wan of two heads and two blocks."""
    return random_weights(public_shapes(256, 48, 2, channels=16, text=TEXT, freq=FREQ))


def avatar(*words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `avatar WORDS`."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def imported(source: Path, out: Path, *words: object) -> Generator:
    """What the command makes of a checkpoint, for latents of 4×6 cells."""
    code, _, err = avatar("models", "import", source, "--out", out, *words)
    assert code == 0, err
    config = GeneratorConfig.from_dict(checkpoint.read_part(out).config)
    generator, _ = checkpoint.load_generator(out, replace(config, grid=2, columns=3, window=3))
    return generator.float()


@torch.no_grad()
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("t", [1.0, 0.37])
def test_an_imported_wan_computes_what_the_published_rules_say(
    arrangement: str, t: float, public: Weights, tmp_path: Path
) -> None:
    generator = imported(ARRANGEMENTS[arrangement](tmp_path, public), tmp_path / "ours.safetensors")
    rng = torch.Generator().manual_seed(3)
    latent_CFHW, text = torch.randn(16, 5, 4, 6, generator=rng), torch.randn(7, TEXT, generator=rng)
    frames = latent_CFHW.transpose(0, 1)
    # Without recycled frame and condition the new input channels see nothing.
    blank = torch.zeros_like(frames)
    caches = [NoCache(5, causal=False) for _ in range(generator.config.depth)]
    v = generator(
        frames, blank, blank, torch.full((5,), t), torch.arange(5), None, caches, text_BSD=text[None]
    ).transpose(0, 1)
    wanted = forward(public, latent_CFHW, t, text)
    assert wanted.std() > 0.3
    assert (v - wanted).abs().max() <= 1e-4


@torch.no_grad()
def test_an_imported_wan_streams_as_it_sees_the_whole_clip(public: Weights, tmp_path: Path) -> None:
    generator = imported(single(tmp_path, public), tmp_path / "ours.safetensors")
    g, frames = generator.config, 9
    rng = torch.Generator().manual_seed(4)
    clip = [torch.randn(frames, *g.latent_shape, generator=rng) for _ in range(3)]
    prompts = generator.prompt(torch.randn(1, 7, TEXT, generator=rng))
    sinks = generator.sink(clip[2][:1], prompts)
    rings = [RingCache(g.heads, g.tokens, g.window, g.head_dim) for _ in range(g.depth)]
    streamed = torch.cat(
        [
            generator(
                *(part[f : f + 1] for part in clip), torch.ones(1), torch.tensor([f]), sinks, rings, prompts=prompts
            )
            for f in range(frames)
        ]
    )
    memory = [NoCache(frames) for _ in range(g.depth)]
    whole = generator(*clip, torch.ones(frames), torch.arange(frames), sinks, memory, prompts=prompts)
    assert (streamed - whole).abs().max() <= 1e-4


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_size_has_a_layout_whose_weights_are_ours(name: str) -> None:
    preset, shapes = PUBLISHED[name]
    layout = detect(shapes)
    assert layout.name == name
    config = layout.config(shapes)
    assert config == VIDEO_PRESETS[preset].generator
    renamed = {layout.rename(public): shape for public, shape in shapes.items()}
    renamed[INPUT] = (renamed[INPUT][0], prod(renamed[INPUT][1:]))
    assert renamed == layout.expected(config)


@pytest.mark.parametrize("layout", [layout.name for layout in WAN_LAYOUTS])
def test_every_layout_survives_the_way_there_and_back(layout: str, tmp_path: Path) -> None:
    depth, channels = {"wan2.1-t2v-1.3b": (30, 16), "wan2.1-t2v-14b": (40, 16), "wan2.2-ti2v-5b": (30, 48)}.get(
        layout, (1, 16)
    )
    weights = random_weights(public_shapes(128, 8, depth, channels, text=8, freq=8))
    made = plan(sharded(tmp_path, weights))
    assert made.header.source == layout
    write(made, tmp_path / "ours.safetensors")
    generator, header = checkpoint.load_generator(tmp_path / "ours.safetensors")
    assert header == made.header
    (known,) = (known for known in LAYOUTS if known.name == layout)
    ours = generator.state_dict()
    for name, tensor in weights.items():
        back = ours[known.rename(name)].float()
        if name == INPUT:
            assert back.shape[1] == 3 * channels * 4
            assert back[:, channels * 4 :].std() > 0.01
            back = back[:, : channels * 4].reshape(tensor.shape)
        assert torch.equal(back, tensor), name


def test_the_same_import_writes_the_same_bytes_and_the_seed_is_of_the_new_columns(
    public: Weights, tmp_path: Path
) -> None:
    made = plan(single(tmp_path, public))
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for file, seed in zip(files, (0, 0, 1), strict=True):
        write(made, file, seed=seed)
    assert files[0].read_bytes() == files[1].read_bytes()
    a, b = load_file(files[0]), load_file(files[2])
    assert [name for name in a if not torch.equal(a[name], b[name])] == [INPUT]
    assert torch.equal(a[INPUT][:, :64], b[INPUT][:, :64])


def test_matrices_are_halved_and_what_modulates_is_not_unless_all_is_wanted_whole(
    public: Weights, tmp_path: Path
) -> None:
    source, types = single(tmp_path, public), []
    for dtype in ("bfloat16", "float32"):
        write(plan(source, dtype=dtype), tmp_path / f"{dtype}.safetensors")
        made = load_file(tmp_path / f"{dtype}.safetensors")
        types.append({name: made[name].dtype for name in ("blocks.0.ffn.0.weight", "modulation")})
    assert list(types[0].values()) == [torch.bfloat16, torch.float32]
    assert list(types[1].values()) == [torch.float32, torch.float32]


def test_the_averaged_generator_of_a_training_file_is_taken_and_named(public: Weights, tmp_path: Path) -> None:
    source = ARRANGEMENTS["self forcing"](tmp_path, public)
    assert Shards(source).branch == "generator_ema"
    assert plan(source).header.source == "wan (generator_ema)"


def test_no_more_than_one_file_is_open_at_a_time(
    public: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, held = [], []

    @contextmanager
    def watched(file: Path) -> Iterator[object]:
        with original(file) as weights:
            opened.append(file)
            held.append(file)
            assert len(held) == 1
            yield weights
            held.clear()

    original = shards._open
    monkeypatch.setattr(shards, "_open", watched)
    write(plan(sharded(tmp_path, public, 4)), tmp_path / "ours.safetensors")
    assert len(opened) == 8  # each once for the shapes and once for the weights


def broken(public: Weights, **changes: torch.Tensor | None) -> Weights:
    """With some weights replaced, or left out."""
    return {k: v for k, v in {**public, **changes}.items() if v is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blocks.1.ffn.2.bias": None}, r"no whole wan: blocks\.1\.ffn\.2\.bias is missing"),
        ({"blocks.0.cross_attn.k_img.weight": torch.ones(2)}, r"blocks\.0\.cross_attn\.k_img\.weight is unknown"),
        ({"blocks.0.norm3.bias": torch.ones(7)}, r"blocks\.0\.norm3\.bias is \[7\], not \[256\]"),
        ({"head.head.bias": torch.ones(64, dtype=torch.int8)}, r"types other than F32, BF16, F16: head\.head\.bias is"),
        ({"head.head.bias": torch.full((64,), torch.nan)}, r"head\.head\.bias in .* holds 64 numbers that are NaN"),
        ({"patch_embedding.weight": None}, "none of wan2.1-t2v-1.3b"),
    ],
    ids=["missing", "unknown", "misshapen", "dtype", "nan", "no layout"],
)
@pytest.mark.parametrize("arrangement", [single, pickled])
def test_a_checkpoint_that_does_not_fit_is_refused_and_leaves_nothing(
    arrangement: object, changes: dict[str, torch.Tensor | None], said: str, public: Weights, tmp_path: Path
) -> None:
    source = arrangement(tmp_path, broken(public, **changes))  # type: ignore[operator]
    out = tmp_path / "out"
    with pytest.raises(InvalidConfigError, match=said):
        write(plan(source), out / "ours.safetensors")
    assert not list(out.glob("*"))


def test_the_wrong_preset_is_refused_with_what_differs(public: Weights, tmp_path: Path) -> None:
    source, out = single(tmp_path, public), tmp_path / "ours.safetensors"
    code, _, err = avatar("models", "import", source, "--out", out, "--preset", "wan-14b")
    assert code == 2
    assert "the checkpoint is wan, not wan-14b: dim is 256, not 5120, depth is 2, not 40" in err
    assert len(err.strip().splitlines()) == 1
    code, _, err = avatar("models", "import", source, "--out", out, "--preset", "huge")
    assert "there is no preset 'huge'; there are wan-1.3b" in err
    code, _, err = avatar("models", "import", source, "--out", out, "--dtype", "int4")
    assert "dtype is 'int4'; it must be bfloat16 or float32" in err
    assert not out.exists()


def test_shards_that_are_missing_or_truncated_are_named(public: Weights, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    sharded(whole, public)
    second = "diffusion_pytorch_model-00002-of-00003.safetensors"
    cut = Path(shutil.copytree(whole, tmp_path / "cut"))
    (cut / second).write_bytes((whole / second).read_bytes()[:-1000])
    with pytest.raises(InvalidConfigError, match=rf"cut.{second} cannot be read, it may be truncated"):
        plan(cut)
    (cut / second).unlink()
    with pytest.raises(InvalidConfigError, match=rf"of the 3 shards in .* 1 are missing: {second}"):
        plan(cut)
    index = whole / "diffusion_pytorch_model.safetensors.index.json"
    promised = json.loads(index.read_text())
    promised["weight_map"]["more"] = second
    index.write_text(json.dumps(promised))
    with pytest.raises(InvalidConfigError, match="lacks more, which its index promises"):
        plan(index)
    index.write_text("{")
    with pytest.raises(InvalidConfigError, match="cannot be read as an index"):
        plan(whole)


def test_a_truncated_pytorch_file_and_one_without_weights_are_refused(public: Weights, tmp_path: Path) -> None:
    path = pickled(tmp_path, public)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InvalidConfigError, match=r"model\.pth cannot be read, it may be truncated"):
        plan(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(InvalidConfigError, match="holds no weights by name"):
        plan(path)


def test_a_path_without_one_checkpoint_is_refused(public: Weights, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="there is no checkpoint at"):
        plan(tmp_path / "gone.safetensors")
    with pytest.raises(InvalidConfigError, match="holds no checkpoint; name one file"):
        plan(tmp_path)
    for name in ("a.pth", "b.pth"):
        torch.save(public, tmp_path / name)
    with pytest.raises(InvalidConfigError, match=r"2 checkpoints \(a\.pth, b\.pth\); name one"):
        plan(tmp_path)
    (tmp_path / "notes.txt").write_text("?")
    with pytest.raises(InvalidConfigError, match=r"notes\.txt is no checkpoint"):
        plan(tmp_path / "notes.txt")


def test_an_imported_generator_is_not_served_and_the_command_that_trains_it_is_named(
    public: Weights, tmp_path: Path
) -> None:
    out = tmp_path / "ours.safetensors"
    write(plan(single(tmp_path, public)), out)
    for model in (str(out), f"torch:{out}"):
        with pytest.raises(InvalidConfigError, match=r"without pose training; .*`python -m training adapt --init"):
            load_runtime(model)
    code, shown, _ = avatar("models", "show", out)
    assert code == 0
    assert "training stages: none" in shown
    assert f"parameters: {sum(w.numel() for w in load_file(out).values()):,}" in shown


def test_a_refusal_names_the_preset_and_a_codec_asks_for_a_generator() -> None:
    generator = checkpoint.PartHeader("generator", {}, preset="wan-5b").refusal(Path("x.safetensors"))
    assert "`python -m training adapt --preset wan-5b --init x.safetensors --codec CODEC --data PICTURES" in generator
    codec = checkpoint.PartHeader("codec", {}).refusal(Path("y.safetensors"))
    assert "`python -m training adapt --init GENERATOR --codec y.safetensors --data PICTURES --run RUN` makes" in codec


def test_a_whole_model_is_no_part_and_a_part_no_whole_model(public: Weights, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    checkpoint.save(whole, AvatarModel.fresh(PRESETS["test"]))
    write(plan(single(tmp_path, public)), part)
    with pytest.raises(InvalidConfigError, match="holds a whole model"):
        checkpoint.load_generator(whole)
    with pytest.raises(InvalidConfigError, match="holds a generator alone"):
        checkpoint.load(part)
    with pytest.raises(InvalidConfigError, match="`avatar export FOLDER --checkpoint"):
        load_runtime(str(whole))


def test_the_list_has_every_layout_and_preset() -> None:
    code, shown, _ = avatar("models", "list")
    assert code == 0
    assert all(layout.name in shown for layout in LAYOUTS)
    assert all(preset in shown for preset in VIDEO_PRESETS)


@pytest.mark.parametrize("command", ["import", "list", "show"])
def test_help_shows_examples(command: str) -> None:
    code, out, _ = avatar("models", command, "--help")
    assert code == 0
    assert f"  avatar models {command}" in out.partition("Examples:")[2]
