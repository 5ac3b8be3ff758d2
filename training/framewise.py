"""A whole clip whose attention goes frame by frame, so that keys are not copied for each of its frames.

B clips, F frames, H heads, T tokens per frame, K head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_sdk.model.cache import KV


class FramewiseCache:
    """Computes what `NoCache` computes: row b·F + f is frame f of clip b. It remembers nothing between calls."""

    def __init__(self, frames: int, window: int | None) -> None:
        """`window`: past frames that a frame sees; None = all frames of its clip, those to come too."""
        self._frames, self._window = frames, window

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Hands the clip's own keys and values on, and a kernel that knows which of them a frame sees."""
        return KV((k_BHTK,), (v_BHTK,), frame_B[:, None], kernel=self._attend)

    def _attend(self, q_BHTK: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> Tensor:
        """Mixes values; the last segment is the clip's, those in front of it are each row's own."""
        q, *segments = (x.unflatten(0, (-1, self._frames)) for x in (q_BHTK, *keys, *values))
        (*ahead_k, own_k), (*ahead_v, own_v) = segments[: len(keys)], segments[len(keys) :]
        mixed = []
        for frame in range(self._frames):
            seen = slice(0, self._frames)
            if self._window is not None:
                seen = slice(max(0, frame - self._window), frame + 1)
            k, v = (
                torch.cat([*(one[:, frame] for one in ahead), own[:, seen].transpose(1, 2).flatten(2, 3)], 2)
                for ahead, own in ((ahead_k, own_k), (ahead_v, own_v))
            )
            mixed.append(F.scaled_dot_product_attention(q[:, frame], k, v))
        return torch.stack(mixed, 1).flatten(0, 1)
