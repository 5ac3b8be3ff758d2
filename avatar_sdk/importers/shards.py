"""Reads published weights one at a time: safetensors, alone or in shards, and PyTorch's files.

One file is open at a time, mapped and not read, so that a checkpoint may be larger than the memory.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from avatar_client.errors import InvalidConfigError

from avatar_sdk.importers.layout import Shape, Shapes

if TYPE_CHECKING:
    from torch import Tensor

SAFETENSORS: Final = ".safetensors"
INDEX: Final = ".index.json"
PICKLED: Final = (".pth", ".pt", ".ckpt")
WRAPPERS: Final = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")
"""What wrapping modules put anywhere into the names of weights."""
PREFIXES: Final = ("model.", "module.", "diffusion_model.")
BRANCHES: Final = ("generator_ema", "generator", "state_dict", "model")
"""Where the weights are in a file that holds more than them; averaged ones before the last."""


@dataclass(frozen=True)
class Weight:
    """One weight of a checkpoint.

    Attributes:
        file: where it lies.
        key: its name there.
        shape: of the tensor.
        dtype: as safetensors writes it, e.g. "BF16".
    """

    file: Path
    key: str
    shape: Shape
    dtype: str


class Shards:
    """The weights at a path; only their names, shapes and types have been read.

    Attributes:
        weights: public name, without what wrappers added, → weight.
        branch: the part of the file that was taken, e.g. "generator_ema"; "" = all of it.
    """

    def __init__(self, path: Path) -> None:
        """`path` is a file, the index of shards, or a folder with one of them.

        Raises:
            InvalidConfigError: names the shards that are missing or damaged.
        """
        self.path, self.branch = path, ""
        self.weights: dict[str, Weight] = {}
        listed = _files(path)
        for file, keys in listed.items():
            with _open(file) as opened:
                self.branch = opened.branch
                found = opened.listing
            lost = [key for key in keys or () if key not in found]
            if lost:
                raise InvalidConfigError(f"{file} lacks {_some(lost)}, which its index promises", field="model")
            for key, (shape, dtype) in found.items():
                name = public_name(key)
                if name in self.weights:
                    raise InvalidConfigError(
                        f"{file} holds {name!r} twice, as {self.weights[name].key!r} and as {key!r}", field="model"
                    )
                self.weights[name] = Weight(file, key, shape, dtype)

    @property
    def shapes(self) -> Shapes:
        """Public name → shape."""
        return {name: weight.shape for name, weight in self.weights.items()}

    def tensors(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """The named weights, file by file; each is on the CPU and of the type it is stored in."""
        wanted: dict[Path, list[str]] = {}
        for name in names:
            wanted.setdefault(self.weights[name].file, []).append(name)
        for file, group in wanted.items():
            with _open(file) as opened:
                for name in group:
                    with _blaming(file):
                        tensor = opened.read(self.weights[name].key)
                    yield name, tensor


def public_name(key: str) -> str:
    """The name of a weight without what training put around the network."""
    for wrapper in WRAPPERS:
        key = key.replace(wrapper, "")
    while prefix := next((p for p in PREFIXES if key.startswith(p)), None):
        key = key.removeprefix(prefix)
    return key


class _Opened(NamedTuple):
    listing: dict[str, tuple[Shape, str]]
    read: Callable[[str], Tensor]
    branch: str = ""


def _open(file: Path) -> AbstractContextManager[_Opened]:
    return _safetensors(file) if file.suffix == SAFETENSORS else _pickled(file)


@contextmanager
def _safetensors(file: Path) -> Iterator[_Opened]:
    from safetensors import safe_open

    with _blaming(file):
        weights: Any = safe_open(file, "pt")
        slices = {key: weights.get_slice(key) for key in weights.keys()}  # noqa: SIM118 - it is no mapping
    with weights:
        yield _Opened({key: (tuple(s.get_shape()), s.get_dtype()) for key, s in slices.items()}, weights.get_tensor)


@contextmanager
def _pickled(file: Path) -> Iterator[_Opened]:
    import torch

    with _blaming(file):
        held: Any = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    branch = ""
    while isinstance(held, dict) and (inner := next((b for b in BRANCHES if isinstance(held.get(b), dict)), None)):
        held, branch = held[inner], inner
    tensors = {k: v for k, v in held.items() if isinstance(v, torch.Tensor)} if isinstance(held, dict) else {}
    if not tensors:
        raise InvalidConfigError(f"{file} holds no weights by name", field="model")
    short = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    yield _Opened(
        {k: (tuple(t.shape), short.get(t.dtype, str(t.dtype))) for k, t in tensors.items()},
        tensors.__getitem__,
        branch,
    )


@contextmanager
def _blaming(file: Path) -> Iterator[None]:
    """Says which file a library could not read."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InvalidConfigError(
            f"{file} cannot be read, it may be truncated; download it again ({reason})", field="model"
        ) from error


def _files(path: Path) -> dict[Path, list[str] | None]:
    """Every file → the weights that it must hold; None = whatever it holds."""
    if path.is_dir():
        path = _only_checkpoint(path)
    if not path.is_file():
        raise InvalidConfigError(f"there is no checkpoint at {path}", field="model")
    if path.name.endswith(INDEX):
        return _indexed(path)
    if path.suffix == SAFETENSORS or path.suffix in PICKLED:
        return {path: None}
    raise InvalidConfigError(
        f"{path} is no checkpoint; it must end in {SAFETENSORS}, {SAFETENSORS}{INDEX} or {', '.join(PICKLED)}",
        field="model",
    )


def _only_checkpoint(folder: Path) -> Path:
    files = sorted(folder.iterdir())
    indices = [f for f in files if f.name.endswith(INDEX)]
    found = indices or [f for f in files if f.suffix == SAFETENSORS] or [f for f in files if f.suffix in PICKLED]
    if len(found) != 1:
        held = f"{len(found)} checkpoints ({_some([f.name for f in found])})" if found else "no checkpoint"
        raise InvalidConfigError(f"{folder} holds {held}; name one file", field="model")
    return found[0]


def _indexed(index: Path) -> dict[Path, list[str] | None]:
    files: dict[Path, list[str] | None] = {}
    try:
        for key, name in json.loads(index.read_text())["weight_map"].items():
            keys = files.setdefault(index.parent / Path(name).name, [])
            assert keys is not None
            keys.append(key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidConfigError(f"{index} cannot be read as an index of shards: {error!r}", field="model") from error
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InvalidConfigError(
            f"of the {len(files)} shards in {index}, {len(missing)} are missing: {_some(missing)}", field="model"
        )
    return files


def _some(names: list[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
