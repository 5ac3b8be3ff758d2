"""From a published checkpoint to ours, one weight at a time; nothing is written unless every weight fits."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.importers.layout import Layout, Shape, Shapes
from avatar_sdk.importers.registry import detect
from avatar_sdk.importers.shards import Shards
from avatar_sdk.model.checkpoint import GENERATOR_PART, PartHeader, misfits, shortened
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video_presets import VIDEO_PRESETS

if TYPE_CHECKING:
    from torch import Tensor

STORED: Final = {"F32": 4, "BF16": 2, "F16": 2}
"""Types that can be imported → bytes per number."""
TYPES: Final = {"bfloat16": "BF16", "float32": "F32"}
"""What the large matrices of a generator may become."""
SIZES: Final = ("dim", "depth", "heads", "ffn_dim", "latent_channels", "text_dim", "freq_dim", "patch", "streams")
"""Fields of a generator that its weights fix."""
_GIB: Final = 2**30


@dataclass(frozen=True)
class Plan:
    """An import that has been checked and not begun.

    Attributes:
        shards: what is read.
        header: of what is written.
        names: public name → ours.
        shapes: every weight that is written.
        types: its type, as safetensors writes it.
    """

    shards: Shards
    header: PartHeader
    names: dict[str, str]
    shapes: Shapes
    types: dict[str, str]

    @property
    def parameters(self) -> int:
        """Numbers that are written."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def new_parameters(self) -> int:
        """Of these, the random ones that no public checkpoint has."""
        return self.parameters - sum(math.prod(self.shards.weights[name].shape) for name in self.names)

    @property
    def size_bytes(self) -> int:
        """Of the weights that are written."""
        return sum(math.prod(shape) * STORED[self.types[name]] for name, shape in self.shapes.items())


def plan(path: Path, preset: str | None = None, dtype: str = "bfloat16") -> Plan:
    """Reads names, shapes and types, and finds out what they become; allocates no weight.

    Args:
        path: see `Shards`.
        preset: that a generator's sizes must be; None = whichever they are.
        dtype: "bfloat16" or "float32", of a generator's large matrices; what modulates and normalises is float32. A
            codec keeps the types it has.

    Raises:
        InvalidConfigError: names the shards that are missing or truncated, the weights that are missing, unknown,
            misshapen or of a type that holds no plain numbers, or the sizes that are not the preset's.
    """
    if dtype not in TYPES:
        raise InvalidConfigError(f"dtype is {dtype!r}; it must be {' or '.join(TYPES)}", field="dtype")
    shards = Shards(path)
    layout = detect(shards.shapes)
    config = layout.config(shards.shapes)
    found_preset = _preset(layout, config, preset)
    names = {public: ours for public in shards.weights if (ours := layout.rename(public)) is not None}
    _check_fit(path, layout, shards, names, layout.expected(config))
    odd = [f"{n} is {shards.weights[n].dtype}" for n in names if shards.weights[n].dtype not in STORED]
    if odd:
        raise InvalidConfigError(
            f"{path} holds weights of types other than {', '.join(STORED)}: {shortened(odd)}; "
            "take the checkpoint that is not quantised",
            field="model",
        )
    source = f"{layout.name} ({shards.branch})" if shards.branch else layout.name
    stored = {ours: shards.weights[public].dtype for public, ours in names.items()}
    if layout.part == GENERATOR_PART:
        from avatar_sdk.model.generator import generator_shapes, stays_float32

        shapes = generator_shapes(config)
        types = {name: "F32" if stays_float32(name) else TYPES[dtype] for name in shapes}
    else:
        shapes, types = dict(layout.expected(config)), stored
    assert shapes.keys() == stored.keys(), "a layout fills every weight, some of them in part"
    header = PartHeader(layout.part, config.to_dict(), (), found_preset, source)
    return Plan(shards, header, names, shapes, types)


def write(plan: Plan, out: Path, on_weight: Callable[[int], None] = lambda done: None, seed: int = 0) -> None:
    """Writes the planned checkpoint; holds one weight and the map of one shard at a time.

    Args:
        plan: from `plan`.
        out: file of the checkpoint; one that is there is replaced at the end.
        on_weight: called with the number of weights done.
        seed: of the new input columns.

    Raises:
        InvalidConfigError: a weight is not finite, or there is no room for the file.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out.parent).free
    if free < plan.size_bytes:
        raise InvalidConfigError(
            f"{out} needs {plan.size_bytes / _GIB:.1f} GiB, of which {free / _GIB:.1f} are free", field="out"
        )
    begun = out.with_name(out.name + ".part")
    try:
        with begun.open("wb") as file:
            places = _write_header(file, plan)
            for done, (public, tensor) in enumerate(plan.shards.tensors(plan.names), 1):
                name = plan.names[public]
                _check_finite(plan.shards.weights[public].file, public, tensor)
                file.seek(places[name])
                file.write(_bytes(_widened(tensor, plan.shapes[name], seed), plan.types[name]))
                on_weight(done)
        begun.replace(out)
    finally:
        begun.unlink(missing_ok=True)


def _preset(layout: Layout, config: object, wanted: str | None) -> str:
    """The preset whose sizes a generator has; "" = none, or a codec."""
    if not isinstance(config, GeneratorConfig):
        if wanted is not None:
            raise InvalidConfigError(f"{layout.name} is a {layout.part}; it has no --preset", field="preset")
        return ""
    if wanted is None:
        return next((name for name, p in VIDEO_PRESETS.items() if not _differences(config, p.generator)), "")
    if wanted not in VIDEO_PRESETS:
        raise InvalidConfigError(f"there is no preset {wanted!r}; there are {', '.join(VIDEO_PRESETS)}", field="preset")
    if differences := _differences(config, VIDEO_PRESETS[wanted].generator):
        raise InvalidConfigError(
            f"the checkpoint is {layout.name}, not {wanted}: {', '.join(differences)}", field="preset"
        )
    return wanted


def _differences(config: GeneratorConfig, wanted: GeneratorConfig) -> list[str]:
    a, b = asdict(config), asdict(wanted)
    return [f"{name} is {a[name]}, not {b[name]}" for name in SIZES if a[name] != b[name]]


def _check_fit(path: Path, layout: Layout, shards: Shards, names: dict[str, str], expected: Shapes) -> None:
    """Shapes must agree once kernels are flattened as ours are."""
    public = {ours: name for name, ours in names.items()}
    found: dict[str, Shape] = {}
    for name, ours in names.items():
        shape = shards.weights[name].shape
        flat = (shape[0], math.prod(shape[1:])) if shape else shape
        found[ours] = flat if expected.get(ours) == flat else shape
    if problems := misfits(expected, found):
        # What is said is said in the file's own names, where it has any.
        words = (problem.split(" ", 1) for problem in problems)
        said = [f"{public.get(name, name)} {rest}" for name, rest in words]
        raise InvalidConfigError(f"{path} is no whole {layout.name}: {shortened(said)}", field="model")


def _check_finite(file: Path, name: str, tensor: Tensor) -> None:
    if not bool(tensor.isfinite().all()):
        bad = int((~tensor.isfinite()).sum())
        raise InvalidConfigError(
            f"{name} in {file} holds {bad} numbers that are NaN or infinite; download it again", field="model"
        )


def _write_header(file: BinaryIO, plan: Plan) -> dict[str, int]:
    """Writes what comes before the weights; where each of them lies. Source: the safetensors format."""
    entries: dict[str, object] = {"__metadata__": plan.header.to_metadata()}
    places, end = {}, 0
    # Larger types first, so that every weight lies at a multiple of its own size.
    for name in sorted(plan.shapes, key=lambda name: -STORED[plan.types[name]]):
        start, shape = end, plan.shapes[name]
        end += math.prod(shape) * STORED[plan.types[name]]
        entries[name] = {"dtype": plan.types[name], "shape": shape, "data_offsets": [start, end]}
        places[name] = start
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    return {name: 8 + len(text) + place for name, place in places.items()}


def _widened(tensor: Tensor, shape: Shape, seed: int) -> Tensor:
    """In our shape: flattened, and with new columns as an untrained layer's where the input is wider than published.

    They are random rather than zero, with which models adapt faster: AAPT, arXiv 2506.09350, on its camera control.
    """
    import torch

    tensor = tensor.reshape(shape) if tensor.numel() == math.prod(shape) else tensor.reshape(shape[0], -1)
    if tensor.shape == shape:
        return tensor
    bound = shape[1] ** -0.5
    new = torch.empty(shape[0], shape[1] - tensor.shape[1])
    new.uniform_(-bound, bound, generator=torch.Generator().manual_seed(seed))
    return torch.cat([tensor.float(), new], 1)


def _bytes(tensor: Tensor, dtype: str) -> memoryview:
    import torch

    made = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}[dtype]
    return tensor.to(made).contiguous().flatten().view(torch.uint8).numpy().data
