"""Weights whose shapes tell the sizes of a network."""

from __future__ import annotations

from collections.abc import Mapping

from avatar_client.errors import InvalidConfigError

from avatar_sdk.importers.layout import Shapes


def check_telling(shapes: Shapes, layout: str, telling: Mapping[str, int]) -> None:
    """Refuses a checkpoint whose sizes cannot be told.

    Args:
        shapes: of the checkpoint.
        layout: what it looks like.
        telling: public name of each weight that tells → its number of dimensions.

    Raises:
        InvalidConfigError: names those that are missing or not of a shape.
    """
    problems = [f"{name} is missing" for name in telling if name not in shapes]
    problems += [
        f"{name} is {list(shapes[name])}, not of {dims} dimensions"
        for name, dims in telling.items()
        if name in shapes and (len(shapes[name]) != dims or 0 in shapes[name])
    ]
    if problems:
        raise InvalidConfigError(f"this is no whole {layout}: {'; '.join(problems)}", field="model")
