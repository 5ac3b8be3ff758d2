"""Tells true latents from generated ones; built and begun as the generator of stage 1.

B clips, F frames or latents, C channels, H rows, W columns, T tokens, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.layers import Sink
from training.scene import Scene
from training.teacher import before, features, whole_clip
from training.trainee import PARTS
from training.video.student import VideoStudent, parts_elsewhere

Kind = Literal["causal", "bidirectional"]


class Discriminator(nn.Module):
    """A copy of conditioner and generator that looks at latents where the generator is given noise.

    "causal" sees the past and gives a logit per frame, so that clips of any length are judged alike (AAPT, arXiv
    2506.09350, §3.3); "bidirectional" sees the whole clip and gives it one logit (AAD-1).

    Attributes:
        parts: dotted names of the modules that learn; of a model with adapters, its own adapters.
    """

    def __init__(self, model: AvatarModel | VideoStudent, kind: Kind) -> None:
        """`model`: whose weights to begin with; it stays as it is."""
        super().__init__()
        self.kind = kind
        self.conditioner = copy.deepcopy(model.conditioner)
        self.trunk = copy.deepcopy(model.generator)
        dim = self.trunk.config.dim
        self.trunk.head = nn.Identity()  # type: ignore[assignment]  # tokens are judged in front of it
        self.logit = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, 1))
        learning = model.parts if isinstance(model, VideoStudent) else PARTS
        self.parts = (*parts_elsewhere(learning, "generator", "trunk"), "logit")
        self.requires_grad_(False)
        for part in self.parts:
            self.get_submodule(part).requires_grad_(True)

    def forward(self, latents: Sequence[Tensor], guide: Tensor, scene: Scene, t_B: Tensor) -> tuple[Tensor, ...]:
        """Logits of every entry of `latents`, all about the same clips: (B, F) if causal, (B, 1) if bidirectional.

        Args:
            latents: what to judge, (B, F, C, H, W) each.
            guide: (B, F, ...), what the conditioner reads of the same frames.
            scene: who is shown.
            t_B: time as of stage 1, one per clip, U(0, 1): its features differ with it. Nothing is noised.
        """
        many = len(latents)
        condition = features(self.conditioner, guide).repeat(many, 1, 1, 1, 1)
        read, prompts = scene.read(self.conditioner, self.trunk)
        sinks = [Sink(*(part.repeat(many, 1, 1, 1) for part in one)) for one in read]
        all_BFCHW = torch.cat(list(latents))
        seen_BFTD = whole_clip(
            self.trunk,
            all_BFCHW,
            before(all_BFCHW),
            condition,
            t_B.repeat(many),
            sinks,
            prompts,
            causal=self.kind == "causal",
            headless=True,
        )
        # The penalty compares logits that differ by little: these are never computed in half precision.
        with torch.autocast(seen_BFTD.device.type, enabled=False):
            logit_BF = self.logit(seen_BFTD.float()).mean((2, 3))
        if self.kind == "bidirectional":
            logit_BF = logit_BF.mean(1, keepdim=True)
        return logit_BF.chunk(many)
