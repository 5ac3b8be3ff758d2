"""What a lesson is made of: what is shown step by step, and what stays the same for all steps.

B clips, F steps, C channels, H rows, W columns, S text tokens, D text width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Prompt, Sink
from training.data.batches import Batch


class Part(NamedTuple):
    """Some steps of a lesson.

    Attributes:
        true_BFCHW: latents, without gradient.
        guide: (B, F, ...), what the conditioner reads for each step.
        batch: the frames.
    """

    true_BFCHW: Tensor
    guide: Tensor
    batch: Batch


@dataclass(frozen=True, eq=False)
class Scene:
    """What a generator reads before its first step.

    Attributes:
        portrait: (B, ...), what the conditioner reads of the portrait at rest.
        text_1SD: of all clips; None = there is no text.
    """

    portrait: Tensor
    text_1SD: Tensor | None = None

    def read(self, conditioner: nn.Module, generator: Generator) -> tuple[list[Sink], list[Prompt] | None]:
        """The portrait's sink and the text's keys and values in every block; each call has its own graph."""
        prompts = None if self.text_1SD is None else generator.prompt(self.text_1SD)
        return generator.sink(torch.as_tensor(conditioner(self.portrait)), prompts), prompts
