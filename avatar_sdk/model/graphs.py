"""The three graphs that run without torch: once per portrait, once per latent, once per picture.

Inputs and outputs are named; `GRAPHS` says in which order. B = 1 throughout.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel, one_step
from avatar_sdk.model.cache import RingInput
from avatar_sdk.model.conditioner import GUIDE_CHANNELS, guide_from_bytes
from avatar_sdk.model.layers import Sink


class PortraitGraph(nn.Module):
    """Guide of the portrait at rest → the sink's keys (not roped) and values of every layer."""

    def __init__(self, model: AvatarModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, guide_BCHW: Tensor) -> tuple[Tensor, ...]:
        """uint8 (1, 11, 256, 256) → 2·depth tensors (1, H, T, K)."""
        sinks = self.model.generator.sink(self.model.conditioner(guide_from_bytes(guide_BCHW)))
        return (*(s.keys for s in sinks), *(s.values for s in sinks))

    def names(self) -> tuple[list[str], list[str]]:
        """Inputs and outputs in order."""
        depth = range(self.model.config.generator.depth)
        return ["guide"], [f"sink_{part}_{i}" for part in ("key", "value") for i in depth]

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the right shape."""
        return (_guide(self.model),)


class GeneratorGraph(nn.Module):
    """One latent from pure noise, and the current frame's keys and values for the caller to put into the ring."""

    def __init__(self, model: AvatarModel, joined: bool = False) -> None:
        """`joined`: see `KV`."""
        super().__init__()
        self.model, self.joined = model, joined

    def forward(
        self,
        guide_BCHW: Tensor,
        noise_BCHW: Tensor,
        recycled_BCHW: Tensor,
        cos: Tensor,
        sin: Tensor,
        bias: Tensor,
        *memory: Tensor,
    ) -> tuple[Tensor, ...]:
        """One step.

        Args:
            guide_BCHW: uint8 (1, 11, 256, 256), RGB of the warped crop and its pose maps.
            noise_BCHW: standard normal (1, C, grid, grid).
            recycled_BCHW: the previous latent, zeros at first.
            cos: (2, T, K), of the frame and of the sink.
            sin: the same.
            bias: (1, 1, 1, (1 + N + 1)·T), 0 or a large negative number.
            memory: sink keys, sink values, ring keys, ring values, `depth` of each.
        """
        depth = self.model.config.generator.depth
        sink_keys, sink_values, ring_keys, ring_values = (memory[i * depth : (i + 1) * depth] for i in range(4))
        taken: list[tuple[Tensor, Tensor]] = []
        condition = self.model.conditioner(guide_from_bytes(guide_BCHW))
        v_BCHW = self.model.generator(
            noise_BCHW,
            recycled_BCHW,
            condition,
            torch.ones(1),
            torch.zeros(1, dtype=torch.int64),
            [Sink(k, v) for k, v in zip(sink_keys, sink_values, strict=True)],
            [RingInput(k, v, taken, self.joined) for k, v in zip(ring_keys, ring_values, strict=True)],
            ropes=((cos[0], sin[0]), (cos[1], sin[1])),
            bias=bias,
        )
        return one_step(noise_BCHW, v_BCHW), *(k for k, _ in taken), *(v for _, v in taken)

    def names(self) -> tuple[list[str], list[str]]:
        """Inputs and outputs in order."""
        depth = range(self.model.config.generator.depth)
        parts = ("sink_key", "sink_value", "ring_key", "ring_value")
        inputs = ["guide", "noise", "recycled", "cos", "sin", "bias"]
        return (
            inputs + [f"{part}_{i}" for part in parts for i in depth],
            ["latent"] + [f"{part}_{i}" for part in ("key", "value") for i in depth],
        )

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the right shape."""
        g = self.model.config.generator
        latent = torch.zeros(1, *g.latent_shape)
        table = torch.ones(2, g.tokens, g.head_dim)
        sink = torch.zeros(1, g.heads, g.tokens, g.head_dim)
        ring = torch.zeros(1, g.heads, g.window * g.tokens, g.head_dim)
        bias = torch.zeros(1, 1, 1, (g.window + 2) * g.tokens)
        memory = [sink.clone() for _ in range(2 * g.depth)] + [ring.clone() for _ in range(2 * g.depth)]
        return (_guide(self.model), latent, latent.clone(), table, table.clone(), bias, *memory)


class DecoderGraph(nn.Module):
    """Latent and warp → what the compositor adds, and the decoder's next state."""

    def __init__(self, model: AvatarModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, guide_BCHW: Tensor, latent_BCHW: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Returns the residual (256, 256, 4) float32, RGB delta and mask logit, and the state."""
        guide = guide_from_bytes(guide_BCHW)
        residual_BCHW, following = self.model.decoder(latent_BCHW, guide, list(state))
        return residual_BCHW[0].permute(1, 2, 0).contiguous(), *following

    def names(self) -> tuple[list[str], list[str]]:
        """Inputs and outputs in order."""
        stages = range(len(self.model.decoder.start()))
        return ["guide", "latent", *(f"past_{i}" for i in stages)], ["residual", *(f"next_{i}" for i in stages)]

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the right shape."""
        g = self.model.config.generator
        latent = torch.zeros(1, *g.latent_shape)
        return (_guide(self.model), latent, *self.model.decoder.start())


GRAPHS: Final = {"portrait": PortraitGraph, "generator": GeneratorGraph, "decoder": DecoderGraph}
"""File name → module."""


def _guide(model: AvatarModel) -> Tensor:
    side = model.config.codec.crop_px
    return torch.zeros(1, GUIDE_CHANNELS, side, side, dtype=torch.uint8)
