"""Tells true latents from generated ones; built and begun as the generator of stage 1.

B clips, F frames, C channels, H rows, W columns, D width.
"""

from __future__ import annotations

import copy
from typing import Literal

from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
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

    def forward(self, latent_BFCHW: Tensor, guide_BFCHW: Tensor, reference_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """Logits: (B, F) of a causal, (B, 1) of a bidirectional one.

        Args:
            latent_BFCHW: what to judge.
            guide_BFCHW: the same frames' guides in [-1, 1].
            reference_BCHW: the guide of the portrait at rest.
            t_B: time as of stage 1, one per clip, U(0, 1): its features differ with it. Nothing is noised.
        """
        rows, frames = latent_BFCHW.shape[:2]
        condition = features(self.conditioner, guide_BFCHW)
        sinks = self.trunk.sink(self.conditioner(reference_BCHW))
        bias = None
        if self.kind == "bidirectional":
            keys = (1 + frames) * self.trunk.config.tokens
            bias = latent_BFCHW.new_zeros(rows * frames, 1, 1, keys)
        seen = whole_clip(self.trunk, latent_BFCHW, before(latent_BFCHW), condition, t_B, sinks, bias=bias)
        logit_BF = self.logit(seen.flatten(3).transpose(2, 3)).mean((2, 3))
        return logit_BF if self.kind == "causal" else logit_BF.mean(1, keepdim=True)
