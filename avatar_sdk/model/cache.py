"""What attention remembers. Layers only know `append`; which kind of cache they hold is the caller's choice.

B batch rows (one latent frame each), H heads, T tokens per frame, N window, K head width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_sdk.model.inputs import MASKED

Kernel = Callable[[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]], Tensor]
"""Queries (B, H, T, K) and the segments of keys and values to what is mixed, (B, H, T, K)."""


class KV(NamedTuple):
    """Keys and values in segments, so that nothing needs to be joined.

    Attributes:
        keys, values: segments of (B, H, n·T, K), keys already roped.
        positions: (B, frames) int64, the frame each T keys belong to, over all segments; -1 = empty.
        joined: whether attention joins the segments for a fused kernel; a copy, which may still be the faster way.
        kernel: computes the attention instead, when the cache's owner has one.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    positions: Tensor
    joined: bool = False
    kernel: Kernel | None = None


class Cache(Protocol):
    """One layer's memory."""

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Adds the frame's own keys and values and returns all that it may look at, itself included."""


class RingCache:
    """Serving: fixed size, static addresses, one write of one frame per step.

    The buffer is [N slots | current]. When the next frame comes, the current one moves into slot frame % N,
    over the frame that leaves the window. Empty slots have position -1.
    """

    def __init__(
        self,
        heads: int,
        tokens: int,
        window: int,
        width: int,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype`: of keys and values, as the generator computes them."""
        self._tokens, self._window = tokens, window
        self._keys = torch.zeros(1, heads, (window + 1) * tokens, width, device=device, dtype=dtype)
        self._values = torch.zeros_like(self._keys)
        self._positions = torch.full((1, window + 1), -1, dtype=torch.int64, device=device)
        self._offsets = torch.arange(tokens, device=device)

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Overwrites the oldest frame. Mutates the cache in place."""
        slot = (frame_B - 1) % self._window
        rows = slot * self._tokens + self._offsets
        current = slice(self._window * self._tokens, None)
        for buffer, new in ((self._keys, k_BHTK), (self._values, v_BHTK)):
            buffer.index_copy_(2, rows, buffer[:, :, current].clone())
            buffer[:, :, current] = new
        self._positions.index_copy_(1, slot, self._positions[:, -1:].clone())
        self._positions[:, -1] = frame_B
        return KV((self._keys,), (self._values,), self._positions)


class GrowingCache:
    """Training rollouts: keeps every frame and its gradient; attention masks what has left the window."""

    # No dataclass: FSDP hands copies of those to a layer, which would remember in the copy.

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.frames: list[Tensor] = []

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Remembers the frame together with its graph."""
        self.keys.append(k_BHTK)
        self.values.append(v_BHTK)
        self.frames.append(frame_B)
        return KV(tuple(self.keys), tuple(self.values), torch.stack(self.frames, 1), joined=True)

    def detach(self) -> None:
        """Cuts the graph: what follows sees the past but sends no gradient into it."""
        self.keys = [k.detach() for k in self.keys]
        self.values = [v.detach() for v in self.values]


class NoCache:
    """A whole clip at once: row b·F + f is frame f of clip b; the mask makes it causal."""

    def __init__(self, frames: int, causal: bool = True) -> None:
        """`causal`: or else every frame sees all others, those to come too, as if they were there at once."""
        self._frames, self._causal = frames, causal

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Lets every row see all frames of its clip; those to come are masked by position."""
        frames = self._frames

        def shared(x: Tensor) -> Tensor:
            rows, heads, tokens, width = x.shape
            clip = x.reshape(rows // frames, frames, heads, tokens, width).transpose(1, 2)
            clip = clip.reshape(rows // frames, 1, heads, frames * tokens, width)
            return clip.expand(-1, frames, -1, -1, -1).reshape(rows, heads, frames * tokens, width)

        positions = frame_B.reshape(-1, 1, frames).expand(-1, frames, -1).reshape(len(frame_B), frames)
        if not self._causal:
            positions = frame_B[:, None].expand(-1, frames)
        return KV((shared(k_BHTK),), (shared(v_BHTK),), positions)


@dataclass(frozen=True)
class RingInput:
    """The ring as an input of an exported step: the caller writes what `append` was given back into it.

    Attributes:
        keys, values: (B, H, N·T, K).
        taken: the current frame's (keys, values), for the caller.
        joined, kernel: see `KV`.
    """

    keys: Tensor
    values: Tensor
    taken: list[tuple[Tensor, Tensor]]
    joined: bool = False
    kernel: Kernel | None = None

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Hands the frame's own keys and values out."""
        self.taken.append((k_BHTK, v_BHTK))
        return KV((self.keys, k_BHTK), (self.values, v_BHTK), frame_B, self.joined, self.kernel)


def attention_bias(positions: Tensor, frame_B: Tensor, window: int, tokens: int, ahead: int) -> Tensor:
    """(B, 1, 1, keys) float: 0 where a key may be seen, `MASKED` elsewhere; `ahead` keys in front are always seen."""
    age = frame_B[:, None] - positions
    seen = (positions >= 0) & (age >= 0) & (age <= window)
    bias = torch.where(seen, 0.0, float(MASKED)).repeat_interleave(tokens, 1)
    return F.pad(bias, (ahead, 0))[:, None, None, :]
