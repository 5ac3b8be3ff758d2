"""The causal video transformer: one forward is one latent frame.

B rows (one latent frame each), C channels, T tokens, S text tokens, D width, K head width. Flow matching:
`x = (1 − t)·x0 + t·ε` and `v = ε − x0`, so one step from pure noise is `x0 = ε − v(ε, t = 1)`. Source: AAPT, arXiv
2506.09350. With a patch, text and a `NoCache` that is not causal it is the public Wan 2.1 / 2.2 model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

import numpy as np
import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.cache import Cache
from avatar_sdk.model.inputs import rope, sink_frame
from avatar_sdk.model.layers import BiasRule, Block, Prompt, Sink, TextBlock
from avatar_sdk.model.presets import GeneratorConfig

Rope = tuple[Tensor, Tensor]
LOWERED: Final = ("q", "k", "v", "o", "norm_q", "norm_k", "ffn", "patch_embedding", "text_embedding", "head")
"""Modules whose weights may be of a smaller type; the others are few, and modulate or normalise in float32."""


def stays_float32(name: str) -> bool:
    """Whether a generator's weight is kept in float32 beside half-precision ones."""
    return not set(LOWERED) & set(name.split("."))


def generator_shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """Every weight of a generator with its shape; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in Generator(config).state_dict().items()}


class Share(Protocol):
    """The tokens of a frame that one of several devices computes."""

    def take(self, x_BTD: Tensor) -> Tensor:
        """Its own of all tokens."""

    def gather(self, x_BTC: Tensor) -> Tensor:
        """All tokens, from what every device has of its own."""


class Generator(nn.Module):
    """Predicts v from noise, the recycled latent and the condition."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = nn.Linear(config.in_channels * config.patch**2, dim)
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
        self.head = nn.Linear(dim, config.latent_channels * config.patch**2)
        self.text_blocks = nn.ModuleList(TextBlock(config) for _ in range(config.depth if config.streams == 2 else 0))

    @property
    def dtype(self) -> torch.dtype:
        """Of the large matrices."""
        return self.patch_embedding.weight.dtype

    def lower(self, dtype: torch.dtype) -> Generator:
        """Turns the large matrices to a smaller type; what `stays_float32` stays. Mutates and returns the generator."""
        for name, weight in self.named_parameters():
            weight.data = weight.data.to(torch.float32 if stays_float32(name) else dtype)
        return self

    def forward(
        self,
        noisy_BCHW: Tensor,
        recycled_BCHW: Tensor,
        condition_BCHW: Tensor,
        t_B: Tensor,
        frame_B: Tensor,
        sinks: Sequence[Sink] | None,
        caches: Sequence[Cache],
        *,
        ropes: tuple[Rope, Rope] | None = None,
        bias: Tensor | None = None,
        text_BSD: Tensor | None = None,
        prompts: Sequence[Prompt] | None = None,
        headless: bool = False,
        share: Share | None = None,
    ) -> Tensor:
        """V (B, C, H, W). Mutates `caches`.

        Args:
            noisy_BCHW: `x_t`.
            recycled_BCHW: the previous output latent; zeros before the first.
            condition_BCHW: the conditioner's features.
            t_B: in [0, 1]; 1 = pure noise.
            frame_B: int64 index of each row's frame.
            sinks: one per block, from `sink`; None = there is no portrait.
            caches: one per block.
            ropes: (cos, sin) of the frame and of the sink; computed from `frame_B` when absent.
            bias: the additive mask; computed from the cache's positions when absent.
            text_BSD: text tokens (B, S, text_dim), for models with text.
            prompts: instead, one per block, from `prompt`, so that the text is read once per stream.
            headless: whether to end before the head, with normalised and modulated tokens (B, T, D) in rows.
            share: the tokens that are computed here, when the caches let them see the others; `ropes` are theirs.
        """
        config = self.config
        own, behind = ropes or self.ropes(frame_B)
        if prompts is None and text_BSD is not None:
            prompts = self.prompt(text_BSD)
        ahead = 0 if sinks is None else config.tokens
        if prompts is not None and config.streams == 2:
            ahead += prompts[0].keys.shape[-2]
        rule = BiasRule(frame_B, config.window, config.tokens, bias, ahead)
        x_BTD = self._embed(noisy_BCHW, recycled_BCHW, condition_BCHW)
        if share is not None:
            x_BTD = share.take(x_BTD)
        time_BD, time_B6D = self._time(t_B)
        nothing = [None] * config.depth
        for block, sink, cache, prompt in zip(self.blocks, sinks or nothing, caches, prompts or nothing, strict=True):
            x_BTD = block(
                x_BTD,
                time_B6D,
                prompt,
                rope=own,
                sink=sink,
                sink_rope=behind,
                cache=cache,
                frame_B=frame_B,
                bias=rule,
            )
        shift, scale = (self.modulation + time_BD[:, None]).unsqueeze(2).unbind(1)
        x_BTD = self.norm(x_BTD) * (1 + scale) + shift
        if headless:
            return x_BTD
        out_BTC = self.head(x_BTD.to(self.head.weight.dtype))
        return self._unpatch(out_BTC if share is None else share.gather(out_BTC))

    def prompt(self, text_BSD: Tensor) -> list[Prompt]:
        """Keys and values of the text in every block: the same for all frames and times.

        Args:
            text_BSD: text tokens (B, S, text_dim).

        Raises:
            InvalidConfigError: the model has no text, or the text is too long for it.
        """
        config = self.config
        if self.text_embedding is None:
            raise InvalidConfigError("this generator was made without text; give it none", field="text")
        spare = config.text_tokens - text_BSD.shape[1] if config.text_tokens else 0
        if spare < 0:
            raise InvalidConfigError(
                f"the text has {text_BSD.shape[1]} tokens, this generator takes {config.text_tokens}", field="text"
            )
        first = cast(nn.Linear, self.text_embedding[0])
        x_BSD = self.text_embedding(F.pad(text_BSD, (0, 0, 0, spare)).to(first.weight.dtype))
        if config.streams == 1:
            return [cast(Block, block).read(x_BSD) for block in self.blocks]
        prompts = []
        for block in self.text_blocks:
            x_BSD, prompt = block(x_BSD)
            prompts.append(prompt)
        return prompts

    def sink(self, condition_BCHW: Tensor, prompts: Sequence[Prompt] | None = None) -> list[Sink]:
        """Keys and values of the portrait in every block; its tokens see only themselves and the text."""
        config = self.config
        rows = len(condition_BCHW)
        blank = condition_BCHW.new_zeros(rows, *config.latent_shape)
        frame_B = torch.zeros(rows, dtype=torch.int64, device=condition_BCHW.device)
        cos, sin = (torch.from_numpy(part).to(condition_BCHW.device) for part in rope(config, 0))
        own = (cos, sin)
        rule = BiasRule(frame_B, config.window, config.tokens)
        x_BTD = self._embed(blank, blank, condition_BCHW)
        _, time_B6D = self._time(condition_BCHW.new_zeros(rows))
        sinks, nothing = [], [None] * config.depth
        for module, prompt in zip(self.blocks, prompts or nothing, strict=True):
            block = cast(Block, module)
            sinks.append(block.sink(x_BTD, time_B6D))
            x_BTD = block(
                x_BTD,
                time_B6D,
                prompt,
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
        """Tokens (B, T, D) in rows; of a patch, the inputs are ordered by channel, row, column."""
        joined = torch.cat([noisy_BCHW, recycled_BCHW, condition_BCHW], 1).to(self.dtype)
        if self.config.patch > 1:
            joined = F.pixel_unshuffle(joined, self.config.patch)
        return torch.as_tensor(self.patch_embedding(joined.flatten(2).transpose(1, 2)))

    def _unpatch(self, out_BTC: Tensor) -> Tensor:
        """(B, C, H, W) from the head's outputs; of a patch, they are ordered by row, column, channel."""
        patch = self.config.patch
        if patch > 1:
            out_BTC = out_BTC.unflatten(-1, (patch**2, -1)).transpose(-1, -2).flatten(-2)
        planes = out_BTC.transpose(1, 2).unflatten(-1, self.config.grid_shape)
        return torch.as_tensor(F.pixel_shuffle(planes, patch) if patch > 1 else planes)

    def _time(self, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """Time embedding (B, D) and its projection (B, 6, D); the sinusoid is [cos, sin] of 1000·t."""
        half = self.config.freq_dim // 2
        frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64, device=t_B.device) / half)
        angle = 1000.0 * t_B.double()[:, None] * frequency
        time_BD = self.time_embedding(torch.cat([angle.cos(), angle.sin()], 1).float())
        return time_BD, self.time_projection(time_BD).unflatten(-1, (6, -1))
