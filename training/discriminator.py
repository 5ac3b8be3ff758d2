"""Tells true latents from generated ones; built and begun as the generator of stage 1.

B clips, F frames, C channels, H rows, W columns, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.layers import Sink
from training.teacher import before, features, whole_clip

Kind = Literal["causal", "bidirectional"]


class Discriminator(nn.Module):
    """A copy of conditioner and generator that looks at latents where the generator is given noise.

    "causal" sees the past and gives a logit per frame, so that clips of any length are judged alike (AAPT, arXiv
    2506.09350, §3.3); "bidirectional" sees the whole clip and gives it one logit (AAD-1).
    """

    def __init__(self, model: AvatarModel, kind: Kind) -> None:
        """`model`: whose weights to begin with; it stays as it is."""
        super().__init__()
        self.kind = kind
        self.conditioner = copy.deepcopy(model.conditioner)
        self.trunk = copy.deepcopy(model.generator)
        dim = self.trunk.config.dim
        # The trunk ends in its normalised and modulated tokens.
        self.trunk.head = nn.Identity()  # type: ignore[assignment]
        self.logit = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, 1))
        self.requires_grad_(True)

    def forward(
        self, latents: Sequence[Tensor], guide_BFCHW: Tensor, reference_BCHW: Tensor, t_B: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits of every entry of `latents`, all about the same clips: (B, F) if causal, (B, 1) if bidirectional.

        Args:
            latents: what to judge, (B, F, C, grid, grid) each.
            guide_BFCHW: the same frames' guides in [-1, 1].
            reference_BCHW: the guide of the portrait at rest.
            t_B: time as of stage 1, one per clip, U(0, 1): its features differ with it. Nothing is noised.
        """
        many, frames = len(latents), latents[0].shape[1]
        condition = features(self.conditioner, guide_BFCHW).repeat(many, 1, 1, 1, 1)
        sinks = [
            Sink(s.keys.repeat(many, 1, 1, 1), s.values.repeat(many, 1, 1, 1))
            for s in self.trunk.sink(self.conditioner(reference_BCHW))
        ]
        all_BFCHW = torch.cat(list(latents))
        bias = None
        if self.kind == "bidirectional":
            keys = (1 + frames) * self.trunk.config.tokens
            bias = all_BFCHW.new_zeros(len(all_BFCHW) * frames, 1, 1, keys)
        seen = whole_clip(self.trunk, all_BFCHW, before(all_BFCHW), condition, t_B.repeat(many), sinks, bias=bias)
        # The penalty compares logits that differ by little: these are never computed in half precision.
        with torch.autocast(seen.device.type, enabled=False):
            logit_BF = self.logit(seen.float().flatten(3).transpose(2, 3)).mean((2, 3))
        if self.kind == "bidirectional":
            logit_BF = logit_BF.mean(1, keepdim=True)
        return logit_BF.chunk(many)
