"""The embedding that stands for the prompt: one file, the same for a whole run and for serving.

S tokens, D width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError, MissingDependencyError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatar_sdk.model.presets import GeneratorConfig

FORMAT: Final = "avatar-sdk text 1"
WEIGHT: Final = "text"
EMPTY: Final = "zeros"
"""How a file says that no encoder has made it."""


def empty_text(width: int) -> Tensor:
    """(1, D) zeros: no words.

    It is not what a text encoder makes of an empty prompt, which still reads an end mark; a generator that is adapted
    with it learns what it means.
    """
    return torch.zeros(1, width)


def save_text(path: Path, text_SD: Tensor, words: str, source: str) -> None:
    """Writes an embedding.

    Raises:
        InvalidConfigError: it cannot be written.
    """
    about = {"format": FORMAT, "words": words, "source": source}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({WEIGHT: text_SD.float().contiguous()}, path, metadata=about)
    except (OSError, SafetensorError) as error:
        raise InvalidConfigError(f"{path} cannot be written: {error}", field="out") from error


def load_text(path: Path | None, config: GeneratorConfig) -> Tensor | None:
    """(1, S, D) for a generator; None if it has no text. Without a file no words.

    Raises:
        InvalidConfigError: there is no such embedding, or it does not fit the generator.
    """
    if path is None:
        return empty_text(config.text_dim)[None] if config.text_dim else None
    if not config.text_dim:
        raise InvalidConfigError("this generator has no text; leave --text-embedding out", field="text-embedding")
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise InvalidConfigError(
                    f"{path} is no text embedding; make one with `python -m training encode-text`",
                    field="text-embedding",
                )
            tokens, width = file.get_slice(WEIGHT).get_shape()
            longest = config.text_tokens or tokens
            if width != config.text_dim or not 1 <= tokens <= longest:
                raise InvalidConfigError(
                    f"{path} holds {tokens} tokens of {width} numbers; this generator takes at most {longest} of "
                    f"{config.text_dim}: use the text encoder it was made with",
                    field="text-embedding",
                )
            text = torch.as_tensor(file.get_tensor(WEIGHT))
    except FileNotFoundError as error:
        raise InvalidConfigError(f"there is no text embedding at {path}", field="text-embedding") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise InvalidConfigError(
            f"{path} cannot be read as a text embedding: {error}", field="text-embedding"
        ) from error
    if not bool(text.isfinite().all()):
        raise InvalidConfigError(f"{path} holds numbers that are NaN or infinite", field="text-embedding")
    return text[None].float()


@torch.no_grad()
def encode_text(words: str, encoder: Path, longest: int) -> Tensor:
    """(S, D): the last hidden states of a T5-like encoder, without filling.

    Args:
        words: the prompt.
        encoder: folder of a `transformers` model with its tokenizer, for Wan google/umt5-xxl; nothing is downloaded.
        longest: tokens beyond this are cut off.

    Raises:
        MissingDependencyError: `transformers` is not installed.
        InvalidConfigError: the folder holds no such model.
    """
    try:
        from transformers import AutoTokenizer, UMT5EncoderModel
    except ImportError as error:
        raise MissingDependencyError(
            "encode-text needs transformers; install avatar-sdk[text], or take --empty"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
        model = UMT5EncoderModel.from_pretrained(encoder, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InvalidConfigError(f"{encoder} holds no text encoder: {why}", field="encoder") from error
    tokens = tokenizer(words, truncation=True, max_length=longest, return_tensors="pt")
    return torch.as_tensor(model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state[0])
