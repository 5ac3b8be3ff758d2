"""The causal video transformer: one forward is one latent frame.

B rows (one latent frame each), C channels, T tokens, D width, K head width. Flow matching: `x = (1 − t)·x0 + t·ε` and
`v = ε − x0`, so one step from pure noise is `x0 = ε − v(ε, t = 1)`. Source: AAPT, arXiv 2506.09350.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from avatar_sdk.model.cache import Cache
from avatar_sdk.model.inputs import rope, sink_frame
from avatar_sdk.model.layers import BiasRule, Block, Sink
from avatar_sdk.model.presets import GeneratorConfig

Rope = tuple[Tensor, Tensor]


class Generator(nn.Module):
    """Predicts v from noise, the recycled latent and the condition."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = nn.Linear(config.in_channels, dim)
        self.text_embedding = (
            nn.Sequential(nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
            if config.text_dim
            else None
        )
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.head = nn.Linear(dim, config.latent_channels)

    def forward(
        self,
        noisy_BCHW: Tensor,
        recycled_BCHW: Tensor,
        condition_BCHW: Tensor,
        t_B: Tensor,
        frame_B: Tensor,
        sinks: Sequence[Sink],
        caches: Sequence[Cache],
        *,
        ropes: tuple[Rope, Rope] | None = None,
        bias: Tensor | None = None,
        text_BSD: Tensor | None = None,
    ) -> Tensor:
        """V (B, C, H, W). Mutates `caches`.

        Args:
            noisy_BCHW: `x_t`.
            recycled_BCHW: the previous output latent; zeros before the first.
            condition_BCHW: the conditioner's features.
            t_B: in [0, 1]; 1 = pure noise.
            frame_B: int64 index of each row's frame.
            sinks: one per block, from `sink`.
            caches: one per block.
            ropes: (cos, sin) of the frame and of the sink; computed from `frame_B` when absent.
            bias: the additive mask; computed from the cache's positions when absent.
            text_BSD: text tokens (B, S, text_dim), for models with text.
        """
        config = self.config
        own, behind = ropes or self.ropes(frame_B)
        rule = BiasRule(frame_B, config.window, config.tokens, bias)
        x_BTD = self._embed(noisy_BCHW, recycled_BCHW, condition_BCHW)
        time_BD, time_B6D = self._time(t_B)
        text = self.text_embedding(text_BSD) if self.text_embedding is not None and text_BSD is not None else None
        for block, sink, cache in zip(self.blocks, sinks, caches, strict=True):
            x_BTD = block(
                x_BTD,
                time_B6D,
                text,
                rope=own,
                sink=sink,
                sink_rope=behind,
                cache=cache,
                frame_B=frame_B,
                bias=rule,
            )
        shift, scale = (self.modulation + time_BD[:, None]).unsqueeze(2).unbind(1)
        v_BTC = self.head(self.norm(x_BTD) * (1 + scale) + shift)
        return torch.as_tensor(v_BTC.transpose(1, 2).unflatten(-1, (config.grid, config.grid)))

    def sink(self, condition_BCHW: Tensor) -> list[Sink]:
        """Keys and values of the portrait in every block; its tokens see only themselves."""
        config = self.config
        rows = len(condition_BCHW)
        blank = condition_BCHW.new_zeros(rows, config.latent_channels, config.grid, config.grid)
        frame_B = torch.zeros(rows, dtype=torch.int64, device=condition_BCHW.device)
        cos, sin = (torch.from_numpy(part).to(condition_BCHW.device) for part in rope(config, 0))
        own = (cos, sin)
        rule = BiasRule(frame_B, config.window, config.tokens)
        x_BTD = self._embed(blank, blank, condition_BCHW)
        _, time_B6D = self._time(condition_BCHW.new_zeros(rows))
        sinks = []
        for module in self.blocks:
            block = cast(Block, module)
            sinks.append(block.sink(x_BTD, time_B6D))
            x_BTD = block(
                x_BTD,
                time_B6D,
                None,
                rope=own,
                sink=None,
                sink_rope=own,
                cache=None,
                frame_B=frame_B,
                bias=rule,
            )
        return sinks

    def ropes(self, frame_B: Tensor) -> tuple[Rope, Rope]:
        """(cos, sin) (B, 1, T, K) of each row's frame and of its sink. Reads `frame_B` on the host: not for graphs."""
        frames = frame_B.tolist()

        def table(indices: list[int]) -> Rope:
            pairs = [rope(self.config, index) for index in indices]
            cos, sin = (np.stack(part)[:, None] for part in zip(*pairs, strict=True))
            return torch.from_numpy(cos).to(frame_B.device), torch.from_numpy(sin).to(frame_B.device)

        return table(frames), table([sink_frame(self.config, f) for f in frames])

    def _embed(self, noisy_BCHW: Tensor, recycled_BCHW: Tensor, condition_BCHW: Tensor) -> Tensor:
        joined = torch.cat([noisy_BCHW, recycled_BCHW, condition_BCHW], 1)
        return torch.as_tensor(self.patch_embedding(joined.flatten(2).transpose(1, 2)))

    def _time(self, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """Time embedding (B, D) and its projection (B, 6, D); the sinusoid is [cos, sin] of 1000·t."""
        half = self.config.freq_dim // 2
        frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64, device=t_B.device) / half)
        angle = 1000.0 * t_B.double()[:, None] * frequency
        time_BD = self.time_embedding(torch.cat([angle.cos(), angle.sin()], 1).float())
        return time_BD, self.time_projection(time_BD).unflatten(-1, (6, -1))
