"""Weights on disk: safetensors, half precision, the configuration and the training stages inside.

A file holds a whole `AvatarModel`, or a part: a generator or a codec that was imported and is yet to be trained.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray

from avatar_sdk.model.presets import GeneratorConfig, ModelConfig

FORMAT: Final = "avatar-sdk checkpoint 1"
WEIGHTS: Final = "model.safetensors"
"""File of the weights in an exported folder."""
INDEX: Final = "graphs.json"
"""File that says which weights each graph of an exported folder takes."""
CODEC_STAGE: Final = "codec"
GENERATOR_STAGES: Final = ("adapt", "distill", "adversarial")
GENERATOR_PART: Final = "generator"
CODEC_PART: Final = "codec"


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself."""

    config: ModelConfig
    stages: tuple[str, ...]


@dataclass(frozen=True)
class PartHeader:
    """What the checkpoint of a part says of itself.

    Attributes:
        part: "generator" or "codec".
        config: plain values of the part's own configuration.
        stages: of training with us; a part that was only imported has been through none.
        preset: whose sizes it has; "" = no preset's.
        source: layout it was imported from, and which branch of the file.
    """

    part: str
    config: dict[str, Any]
    stages: tuple[str, ...] = ()
    preset: str = ""
    source: str = ""

    def to_metadata(self) -> dict[str, str]:
        """For a safetensors header."""
        return {
            "format": FORMAT,
            "part": self.part,
            "config": json.dumps(self.config),
            "stages": json.dumps(self.stages),
            "preset": self.preset,
            "source": self.source,
        }

    def refusal(self, path: Path) -> str:
        """Why it cannot be served as it is, and the command that makes an avatar of it or serves it."""
        size = f"--preset {self.preset} " if self.preset else ""
        if self.part != GENERATOR_PART:
            return (
                f"{path} holds a {self.part} alone; `python -m training adapt --init GENERATOR --codec {path} "
                "--data PICTURES --run RUN` makes an avatar of it and a generator"
            )
        if not self.stages:
            return (
                f"{path} holds a generator alone, without pose training; it becomes an avatar by "
                f"`python -m training adapt {size}--init {path} --codec CODEC --data PICTURES --run RUN`, then distill "
                "and adversarial"
            )
        missing = [stage for stage in GENERATOR_STAGES if stage not in self.stages]
        if missing:
            return (
                f"{path} holds a generator that has been through {', '.join(self.stages)}; before it can be served it "
                f"needs `python -m training {missing[0]} --data PICTURES --run {path.parent}`"
            )
        return (
            f"{path} holds a trained generator; with its codec beside it, `avatar serve --model {path.parent}` serves "
            f"it on CUDA, `--model torch:{path.parent}` on the CPU"
        )


def check_stages(stages: tuple[str, ...]) -> None:
    """Refuses what would draw noise: a trained codec fed by an untrained generator.

    Raises:
        InvalidConfigError: with the command that trains the rest.
    """
    if CODEC_STAGE in stages and not set(GENERATOR_STAGES) & set(stages):
        raise InvalidConfigError(
            f"the checkpoint has been through {list(stages)}: its codec is trained and its generator is not; "
            "train it with `python -m training adapt`, or use --model warp",
            field="model",
        )


def save(path: Path, model: Any, stages: tuple[str, ...] = ()) -> None:
    """Writes an `AvatarModel` in float16."""
    import torch
    from safetensors.torch import save_file

    header = {"format": FORMAT, "config": json.dumps(model.config.to_dict()), "stages": json.dumps(stages)}
    tensors = {name: t.detach().to("cpu", torch.float16).contiguous() for name, t in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=header)


def read_header(path: Path) -> Header:
    """The configuration and stages of a checkpoint.

    Raises:
        InvalidConfigError: there is none, it is not ours, or it holds only a part, which nobody has trained.
    """
    metadata = _metadata(path)
    if "part" in metadata:
        raise InvalidConfigError(_part_header(path, metadata).refusal(path), field="model")
    with _header_of(path):
        return Header(ModelConfig.from_dict(json.loads(metadata["config"])), tuple(json.loads(metadata["stages"])))


def holds_part(path: Path) -> bool:
    """Whether a checkpoint holds a generator or codec alone.

    Raises:
        InvalidConfigError: there is none, or it is not ours.
    """
    return "part" in _metadata(path)


def read_part(path: Path) -> PartHeader:
    """What the checkpoint of a part says of itself.

    Raises:
        InvalidConfigError: there is none, it is not ours, or it holds a whole model.
    """
    metadata = _metadata(path)
    if "part" not in metadata:
        raise InvalidConfigError(f"{path} holds a whole model, not a generator or codec alone", field="model")
    return _part_header(path, metadata)


def load_generator(path: Path, config: GeneratorConfig | None = None) -> tuple[Any, PartHeader]:
    """A `Generator` in evaluation mode, its weights of the types they are stored in, and its header.

    Args:
        path: the checkpoint of a generator.
        config: for another grid or window than the checkpoint's; None = its own.

    Raises:
        InvalidConfigError: it is no generator's; see also `read_weights`.
    """
    import torch

    from avatar_sdk.model.generator import Generator, generator_shapes
    from avatar_sdk.model.weights import read_weights

    header = _read_part_of(path, GENERATOR_PART)
    config = config or GeneratorConfig.from_dict(header.config)
    weights = read_weights(path, header.preset or GENERATOR_PART, generator_shapes(config))
    with torch.device("meta"):
        generator = Generator(config)
    generator.load_state_dict(weights, assign=True)
    return generator.eval(), header


def load_codec(path: Path) -> tuple[Any, PartHeader]:
    """A `VideoCodec` in evaluation mode, its weights of the types they are stored in, and its header.

    Raises:
        InvalidConfigError: it is no codec's; see also `read_weights`.
    """
    import torch

    from avatar_sdk.model.video.build import build_codec, codec_shapes
    from avatar_sdk.model.video.config import VideoCodecConfig
    from avatar_sdk.model.weights import read_weights

    header = _read_part_of(path, CODEC_PART)
    config = VideoCodecConfig.from_dict(header.config)
    weights = read_weights(path, header.preset or CODEC_PART, codec_shapes(config))
    with torch.device("meta"):
        codec = build_codec(config)  # a Wan VAE's mean and std are of its config, and real even so
    codec.load_state_dict(weights, assign=True)
    return codec.eval(), header


def _read_part_of(path: Path, part: str) -> PartHeader:
    header = read_part(path)
    if header.part != part:
        raise InvalidConfigError(f"{path} holds a {header.part}, not a {part}", field="model")
    return header


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise InvalidConfigError(f"there is no checkpoint at {path}", field="model") from error
    except (OSError, SafetensorError) as error:
        raise InvalidConfigError(f"{path} cannot be read as a checkpoint: {error}", field="model") from error
    if metadata.get("format") != FORMAT:
        raise InvalidConfigError(
            f"{path} says it is {metadata.get('format', 'nothing')!r}; this version reads {FORMAT!r}", field="model"
        )
    return dict(metadata)


def _part_header(path: Path, metadata: dict[str, str]) -> PartHeader:
    with _header_of(path):
        return PartHeader(
            metadata["part"],
            json.loads(metadata["config"]),
            tuple(json.loads(metadata["stages"])),
            metadata["preset"],
            metadata["source"],
        )


@contextmanager
def _header_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, json.JSONDecodeError) as error:
        raise InvalidConfigError(f"the header of {path} is damaged: {error}", field="model") from error


def count_parameters(path: Path) -> int:
    """Numbers in a checkpoint; no weight is read."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no mapping


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every weight by name, as float32. Needs no torch."""
    from safetensors.numpy import load_file

    return {name: array.astype(np.float32) for name, array in load_file(path).items()}


def load(path: Path) -> tuple[Any, Header]:
    """An `AvatarModel` in float32 and evaluation mode, with its header.

    Raises:
        InvalidConfigError: names every weight that is missing, unknown or of another shape.
    """
    import torch

    from avatar_sdk.model.avatar import AvatarModel

    header = read_header(path)
    model = AvatarModel(header.config)
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    arrays = read_arrays(path)
    _check_fit(path, header.config.name, wanted, {name: array.shape for name, array in arrays.items()})
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model.eval(), header


def misfits(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """One sentence for every weight that is missing, unknown or of another shape."""
    problems = [f"{n} is missing" for n in wanted if n not in found]
    problems += [f"{n} is unknown" for n in found if n not in wanted]
    return problems + [
        f"{n} is {list(found[n])}, not {list(s)}" for n, s in wanted.items() if n in found and found[n] != s
    ]


def shortened(problems: Sequence[str], shown: int = 5) -> str:
    """The first few, and how many more there are."""
    return "; ".join(problems[:shown]) + (f" and {len(problems) - shown} more" if len(problems) > shown else "")


def _check_fit(
    path: Path, name: str, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    if problems := misfits(wanted, found):
        raise InvalidConfigError(f"{path} does not fit its own config {name!r}: {shortened(problems)}", field="model")
