"""What a run of a video generator is made of on disk: three checkpoints beside each other.

`model.safetensors` is the generator, `codec.safetensors` the codec with the stem that learned with it,
`text.safetensors` the prompt's embedding. A stage's folder keeps those it began with; they are links where the disk
allows it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from avatar_sdk.model.checkpoint import CODEC_PART, GENERATOR_PART, PartHeader, read_part
from training.errors import DataError
from training.state import INITIAL
from training.video.student import VideoProduct

CODEC: Final = "codec.safetensors"
TEXT: Final = "text.safetensors"
STEM: Final = "stem."


@dataclass(frozen=True)
class Ingredients:
    """Files that a stage begins with.

    Attributes:
        generator: checkpoint of a generator.
        codec: checkpoint of a codec.
        text: embedding of the prompt; None = no words.
    """

    generator: Path
    codec: Path
    text: Path | None = None

    @classmethod
    def of_run(cls, run: Path, model: str) -> Ingredients:
        """Those in a folder, where `model` is the generator's file."""
        text = run / TEXT
        return cls(run / model, run / CODEC, text if text.is_file() else None)

    @classmethod
    def begun(cls, run: Path, stage: str) -> Ingredients:
        """Those that a stage of a run has begun with."""
        return cls.of_run(run / stage, INITIAL)

    def keep(self, run: Path, stage: str) -> None:
        """Puts them where `begun` finds them, and the text where the run's own is.

        Raises:
            DataError: the folder cannot be written.
        """
        place = run / stage
        _link(self.generator, place / INITIAL)
        _link(self.codec, place / CODEC)
        if self.text is None:
            (place / TEXT).unlink(missing_ok=True)
        else:
            _link(self.text, place / TEXT)
            _link(self.text, run / TEXT)


def save_product(product: VideoProduct, path: Path, codec: Path, stages: tuple[str, ...]) -> None:
    """Writes the generator to `path` and the codec beside it; each takes its name once it is whole.

    Args:
        product: what a stage leaves.
        path: of the generator.
        codec: checkpoint of the codec that the stage began with.
        stages: that both have been through.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    header = read_part(codec)
    with safe_open(codec, "pt") as file:
        names = [name for name in file.keys() if not name.startswith(STEM)]  # noqa: SIM118 - no mapping
        weights = {name: file.get_tensor(name) for name in names}
    weights |= {STEM + name: weight for name, weight in product.stem.items()}
    config = product.config
    about = PartHeader(CODEC_PART, config.codec.to_dict(), stages, "", header.source)
    _write(weights, path.with_name(CODEC), about)
    about = PartHeader(GENERATOR_PART, config.generator.to_dict(), stages, config.preset, config.source)
    _write(dict(product.generator), path, about)


def _write(weights: dict[str, Tensor], path: Path, about: PartHeader) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        save_file({name: w.contiguous() for name, w in weights.items()}, fresh, metadata=about.to_metadata())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk has no links. Whoever replaces a file makes a new one."""
    if target.exists() and source.samefile(target):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with suppress(OSError):
            os.link(source, target)
            return
        shutil.copyfile(source, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}; free some space and go on") from error
