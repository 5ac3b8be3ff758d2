"""Weights out of a file, checked before a network is built for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from avatar_client.errors import InvalidConfigError
from safetensors import safe_open
from torch import Tensor

from avatar_sdk.model.checkpoint import misfits, shortened

PLAIN: Final = ("F32", "BF16", "F16")
"""Types that hold plain numbers, as safetensors writes them."""


def read_weights(path: Path, name: str, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Every weight of a checkpoint, mapped from the file, not copied.

    Args:
        path: the checkpoint.
        name: whose weights they are to be, for messages.
        wanted: every weight's shape.

    Raises:
        InvalidConfigError: names those that are missing, unknown, of another shape, of a type that holds no plain
            numbers, or not finite.
    """
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        slices = {name: file.get_slice(name) for name in names}
        problems = misfits(wanted, {name: tuple(part.get_shape()) for name, part in slices.items()})
        if problems:
            raise InvalidConfigError(
                f"{path} does not fit its own config {name!r}: {shortened(problems)}", field="model"
            )
        odd = [f"{name} is {kind}" for name, part in slices.items() if (kind := part.get_dtype()) not in PLAIN]
        if odd:
            raise InvalidConfigError(
                f"{path} holds weights of types other than {', '.join(PLAIN)}: {shortened(odd)}", field="model"
            )
        weights = {name: file.get_tensor(name) for name in names}
    broken = [name for name, weight in weights.items() if not is_finite(weight)]
    if broken:
        raise InvalidConfigError(
            f"{path} holds numbers that are NaN or infinite in {shortened(broken)}; write it again", field="model"
        )
    return weights


def is_finite(weight: Tensor) -> bool:
    """Whether every number is; nothing of the weight's own size is allocated for the answer."""
    if not weight.numel():
        return True
    low, high = weight.aminmax()
    return bool(low.isfinite() & high.isfinite())
