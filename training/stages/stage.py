"""What the loop needs to know about a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from training.data.batches import Batch
from training.lesson import Student
from training.trainee import Product


class Stage(Protocol):
    """One stage of training: it owns its networks and optimisers; the loop owns time, data and disk.

    Attributes:
        name: what a checkpoint records: "codec", "adapt", "distill", "adversarial".
        frames: consecutive frames of every clip it wants.
        networks: every module with weights that a resumed run needs, by name.
        optimisers: by name.
    """

    name: str
    frames: int
    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, torch.optim.Optimizer]

    @property
    def model(self) -> Student:
        """Whose weights are trained."""

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Tensor]:
        """Trains on one batch. Mutates networks and optimisers; all randomness comes from `rng`.

        Returns:
            Detached scalars to be logged; one of them is called "loss".
        """

    def product(self) -> Product:
        """The model to be saved, with averaged weights where the stage averages.

        All ranks ask; of several only rank 0 is given weights.
        """
