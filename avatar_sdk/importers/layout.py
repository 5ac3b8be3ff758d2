"""What a public checkpoint looks like, and what its weights are called here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Name of a weight → its shape."""


@dataclass(frozen=True)
class Layout:
    """One published arrangement of weights.

    Attributes:
        name: what the user calls it, e.g. "wan2.1-t2v-1.3b".
        part: which network of ours it becomes, "generator" or "codec".
        matches: whether a checkpoint with these weights, public names without wrapper prefixes, is one of these.
        config: our configuration of it, from the shapes.
        rename: our name of a public weight; None = it is not needed here.
        expected: every weight of ours with its shape, from our configuration; those that an import may leave out,
            such as new input channels, are not among them.
    """

    name: str
    part: str
    matches: Callable[[Shapes], bool]
    config: Callable[[Shapes], Any]
    rename: Callable[[str], str | None]
    expected: Callable[[Any], Shapes]
