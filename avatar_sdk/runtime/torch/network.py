"""The network of many sessions at once, and what it remembers of each, one slot per session.

S slots, B rows of a bucket, H heads, T tokens per frame, N window, K head width.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from avatar_sdk.model.avatar import AvatarModel, one_step
from avatar_sdk.model.cache import RingInput
from avatar_sdk.model.conditioner import guide_from_bytes
from avatar_sdk.model.layers import Sink
from avatar_sdk.runtime.torch.attention import Attention
from avatar_sdk.runtime.torch.feed import PositionRows


class Memory:
    """Ring caches, sinks, latents and decoder states of all slots, allocated once.

    Attributes:
        ring: per layer (keys, values), (S, H, N·T, K); slot frame % N of a ring holds a frame, and nothing moves.
        sink: per layer (keys, values), (S, H, T, K), not roped.
        latent: (S, C, grid, grid), the previous output.
        decoder: per remembering stage (S, C, side, side).
    """

    def __init__(self, model: AvatarModel, slots: int, device: str) -> None:
        g = model.config.generator

        def pair(tokens: int) -> tuple[Tensor, Tensor]:
            first = torch.zeros(slots, g.heads, tokens, g.head_dim, device=device)
            return first, torch.zeros_like(first)

        self.ring = [pair(g.window * g.tokens) for _ in range(g.depth)]
        self.sink = [pair(g.tokens) for _ in range(g.depth)]
        self.latent = torch.zeros(slots, g.latent_channels, g.grid, g.grid, device=device)
        self.decoder = model.decoder.start(slots, device)

    def tensors(self) -> list[Tensor]:
        """All of it."""
        return [*(part for pair in (*self.ring, *self.sink) for part in pair), self.latent, *self.decoder]

    def clear(self, slot: int) -> None:
        """Forgets a session."""
        for tensor in self.tensors():
            tensor[slot].zero_()

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())


class BatchNetwork:
    """Weights and memory; every method is static-shaped and stays on the device."""

    def __init__(self, model: AvatarModel, slots: int, device: str, dtype: torch.dtype, attention: Attention) -> None:
        """`model` is on the device; `dtype` is what its products are computed in."""
        self.model, self.config = model, model.config
        self.memory = Memory(model, slots, device)
        self._attention, self._dtype, self._device = attention, dtype, torch.device(device).type
        self._pure_noise = torch.ones(1, device=device)
        self._no_frame = torch.zeros(1, dtype=torch.int64, device=device)

    def precision(self) -> AbstractContextManager[object]:
        """In which products are computed in `dtype`."""
        if self._dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self._device, self._dtype, cache_enabled=False)

    def take_sink(self, slot: int, guide_1CHW: Tensor) -> None:
        """Another portrait in a slot, whose guide at rest is (1, 11, 256, 256) uint8."""
        with torch.inference_mode(), self.precision():
            sinks = self.model.generator.sink(self.model.conditioner(guide_from_bytes(guide_1CHW)))
            for (keys, values), sink in zip(self.memory.sink, sinks, strict=True):
                keys[slot].copy_(sink.keys[0])
                values[slot].copy_(sink.values[0])

    def predict(self, guide_BCHW: Tensor, at: PositionRows, slot_B: Tensor, turn_B: Tensor) -> Tensor:
        """The next latents (B, C, grid, grid) of these slots. Mutates their rings and latents.

        Args:
            guide_BCHW: in [-1, 1].
            at: noise and positions.
            slot_B: int64, one row each; rows that only fill up the bucket share a slot of their own.
            turn_B: int64 frame % N, the place in the ring that each row's frame takes.
        """
        g, memory = self.config.generator, self.memory
        taken: list[tuple[Tensor, Tensor]] = []
        kernel = self._attention.kernel(at.bias, g.tokens)
        rings = [tuple(part.index_select(0, slot_B) for part in pair) for pair in memory.ring]
        sinks = [Sink(*(part.index_select(0, slot_B) for part in pair)) for pair in memory.sink]
        bias = at.bias[:, :, None].expand(-1, -1, g.tokens).flatten(1)[:, None, None]
        with self.precision(), self._attention.context():
            v_BCHW = self.model.generator(
                at.noise,
                memory.latent.index_select(0, slot_B),
                self.model.conditioner(guide_BCHW),
                self._pure_noise,
                self._no_frame,
                sinks,
                [RingInput(keys, values, taken, joined=True, kernel=kernel) for keys, values in rings],
                ropes=(at.own, at.sink),
                bias=bias,
            )
        latent = one_step(at.noise, v_BCHW.float())
        memory.latent.index_copy_(0, slot_B, latent)
        for pair, new in zip(memory.ring, taken, strict=True):
            for ring, part in zip(pair, new, strict=True):
                ring.unflatten(2, (g.window, g.tokens))[slot_B, :, turn_B] = part.float()
        return latent

    def render(self, latent_BCHW: Tensor, guide_BCHW: Tensor, slot_B: Tensor) -> Tensor:
        """The residuals (B, 4, 256, 256) float32. Mutates the slots' decoder states."""
        past = [state.index_select(0, slot_B) for state in self.memory.decoder]
        with self.precision():
            residual, following = self.model.decoder(latent_BCHW, guide_BCHW, past)
        for state, new in zip(self.memory.decoder, following, strict=True):
            state.index_copy_(0, slot_B, new.float())
        return residual.float()
