"""The embedding that stands for the prompt, as training has left it beside the generator.

S tokens, D width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from avatar_sdk.model.presets import GeneratorConfig

TEXT_FORMAT: Final = "avatar-sdk text 1"
TEXT_WEIGHT: Final = "text"


def read_text(path: Path, config: GeneratorConfig) -> Tensor | None:
    """(S, D) for a generator; without a file one token of zeros, which is no words; None if it has no text.

    Raises:
        InvalidConfigError: the file cannot be read or does not fit the generator.
    """
    if not config.text_dim:
        return None
    if not path.is_file():
        return torch.zeros(1, config.text_dim)
    try:
        with safe_open(path, "pt") as file:
            kind = (file.metadata() or {}).get("format")
            text_SD = torch.as_tensor(file.get_tensor(TEXT_WEIGHT)) if kind == TEXT_FORMAT else None
    except (OSError, SafetensorError) as error:
        raise InvalidConfigError(f"{path} cannot be read as a text embedding: {error}", field="model") from error
    if text_SD is None:
        raise InvalidConfigError(f"{path} says it is {kind!r}; this version reads {TEXT_FORMAT!r}", field="model")
    longest = config.text_tokens or len(text_SD)
    if text_SD.ndim != 2 or text_SD.shape[1] != config.text_dim or not 1 <= len(text_SD) <= longest:
        raise InvalidConfigError(
            f"{path} is {list(text_SD.shape)}; this generator takes at most {longest} tokens of {config.text_dim}",
            field="model",
        )
    return text_SD.float()
