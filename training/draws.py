"""Random numbers of a batch's rows, the same however many ranks share the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor


class Draws(torch.Generator):
    """A generator that every rank seeds alike; what is drawn `per_row` is drawn for all ranks' rows."""

    rank: int
    ranks: int

    def __new__(cls, device: str, rank: int, ranks: int) -> Self:
        """`rank` of `ranks` holds its part of every batch; parts follow each other."""
        self = super().__new__(cls, device)  # type: ignore[call-arg]
        self.rank, self.ranks = rank, ranks
        return self

    def __init__(self, device: str, rank: int, ranks: int) -> None: ...


def per_row(rows: int, rng: torch.Generator, draw: Callable[[int], Tensor]) -> Tensor:
    """What `draw(n)` gives for the n rows of the whole batch, cut down to the own `rows`.

    Numbers are cheap beside a step, so every rank draws all of them.
    """
    if not isinstance(rng, Draws):
        return draw(rows)
    return draw(rows * rng.ranks)[rng.rank * rows : (rng.rank + 1) * rows]
