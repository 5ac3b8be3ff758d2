"""The prompt's embedding: made once, checked before it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the extra `train`")

from avatar_client.errors import InvalidConfigError, MissingDependencyError  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from typer.testing import CliRunner  # noqa: E402
from video_models import GENERATOR, GENERATORS  # noqa: E402

from training.cli import app  # noqa: E402
from training.video import text  # noqa: E402

WORDS = "a person talks"


def test_no_words_are_zeros_of_the_presets_width(tmp_path: Path) -> None:
    out = tmp_path / "none.safetensors"
    done = CliRunner().invoke(app, ["encode-text", "--empty", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "1 tokens of 4096 numbers, no words" in done.output
    wide = GENERATOR.__class__(text_dim=4096, text_tokens=512)
    loaded, default = text.load_text(out, wide), text.load_text(None, wide)
    assert loaded is not None
    assert loaded.shape == (1, 1, 4096)
    assert not loaded.any()
    assert torch.equal(loaded, default)


def test_an_embedding_comes_back_as_it_was(tmp_path: Path) -> None:
    made = torch.randn(4, 6)
    text.save_text(tmp_path / "t", made, WORDS, "umt5")
    assert torch.equal(text.load_text(tmp_path / "t", GENERATOR), made[None])
    assert text.load_text(None, GENERATORS["no text"]) is None


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (torch.zeros(4, 7), "4 tokens of 7 numbers; this generator takes at most 5 of 6"),
        (torch.zeros(6, 6), "6 tokens of 6 numbers; this generator takes at most 5 of 6"),
        (torch.zeros(0, 6), "0 tokens"),
        (torch.full((1, 6), torch.nan), "NaN"),
        (torch.zeros(6), "cannot be read"),
    ],
)
def test_an_embedding_that_does_not_fit_is_refused_with_both_shapes(
    made: torch.Tensor, message: str, tmp_path: Path
) -> None:
    text.save_text(tmp_path / "t", made, WORDS, "umt5")
    with pytest.raises(InvalidConfigError, match=message):
        text.load_text(tmp_path / "t", GENERATOR)


def test_what_is_no_embedding_is_refused(tmp_path: Path) -> None:
    save_file({"text": torch.zeros(1, 6)}, tmp_path / "other")
    (tmp_path / "noise").write_bytes(b"no tensors")
    for name, message in (("other", "is no text embedding"), ("noise", "cannot be read"), ("absent", "there is no")):
        with pytest.raises(InvalidConfigError, match=message):
            text.load_text(tmp_path / name, GENERATOR)
    text.save_text(tmp_path / "t", torch.zeros(1, 6), "", text.EMPTY)
    with pytest.raises(InvalidConfigError, match="has no text; leave --text-embedding out"):
        text.load_text(tmp_path / "t", GENERATORS["no text"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --text and --encoder, or --empty"),
        (("--text", WORDS), "give --text and --encoder, or --empty"),
        (("--text", WORDS, "--empty"), "give --text and --encoder, or --empty"),
        (("--empty", "--preset", "wan-2b"), "there is no preset 'wan-2b'"),
        (("--empty", "--preset", "dit-8b"), "dit-8b has no text"),
    ],
)
def test_a_command_that_says_too_little_or_too_much_is_refused(words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["encode-text", "--out", "nowhere", *words])
    assert done.exit_code != 0
    assert message in done.output


def test_a_missing_encoder_is_said_as_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"avatar-sdk\[text\]"):
        text.encode_text(WORDS, tmp_path, 5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder of the kind that Wan was trained with, and a tokenizer of whole words."""
    transformers = pytest.importorskip("transformers", reason="needs transformers; install the extra `text`")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {word: k for k, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS.split()))}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    config = transformers.UMT5Config(
        vocab_size=len(vocabulary), d_model=6, d_kv=4, d_ff=8, num_layers=1, num_heads=2, pad_token_id=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.UMT5EncoderModel(config).save_pretrained(folder)
    return folder


def test_words_become_a_token_each_and_an_end_mark(encoder: Path) -> None:
    made = text.encode_text(WORDS, encoder, 5)
    assert made.shape == (4, 6)
    assert text.encode_text(WORDS, encoder, 2).shape == (2, 6)
    assert not torch.allclose(made[:1], text.encode_text("talks", encoder, 5)[:1])


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers; install the extra `text`")
    with pytest.raises(InvalidConfigError, match="holds no text encoder"):
        text.encode_text(WORDS, tmp_path, 5)
