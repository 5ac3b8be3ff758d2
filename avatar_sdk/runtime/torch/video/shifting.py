"""The common layout of others, to be measured against: keys and values move, and every latent is computed twice.

The cache is a sliding buffer: when it is full, everything but the oldest frame is copied one frame to the left, through
a clone, and the new frame is written at the end. A second pass, over the clean latent at t = 0, then replaces what the
first wrote. Source: the published Self-Forcing; its sliding cache, without what it reads back to the host.
"""

from __future__ import annotations

import torch
from torch import Tensor

from avatar_sdk.model.avatar import one_step
from avatar_sdk.model.cache import KV
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Prompt, Sink
from avatar_sdk.runtime.torch.video.attention import VideoAttention
from avatar_sdk.runtime.torch.video.feed import Given
from avatar_sdk.runtime.torch.video.ring import text_keys


class ShiftingCache:
    """One layer's [text | sink | N + 1 frames], full from the start; a `Cache`.

    Attributes:
        clean: whether the newest frame is replaced, and nothing moves.
    """

    def __init__(self, ahead: int, shape_LHK: tuple[int, int, int], tokens: int, attention: VideoAttention) -> None:
        """`ahead`: keys of text and sink, the last `tokens` of which are the sink's."""
        self._ahead, self._tokens, self._attention = ahead, tokens, attention
        self._shape, self.clean = shape_LHK, False
        self._buffers: tuple[Tensor, Tensor] | None = None

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Shifts, unless `clean`, then writes at the end. Mutates the cache."""
        if self._buffers is None:
            zeros = torch.zeros(self._shape, device=k_BHTK.device, dtype=k_BHTK.dtype)
            self._buffers = zeros, zeros.clone()
        for buffer, new in zip(self._buffers, (k_BHTK, v_BHTK), strict=True):
            window = buffer[self._ahead :]
            if not self.clean:
                window[: -self._tokens] = window[self._tokens :].clone()
            window[-self._tokens :] = new[0].transpose(0, 1)
        return KV((), (), frame_B, kernel=self._attend)

    def _attend(self, q_BHTK: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> Tensor:
        assert self._buffers is not None, "a frame is appended first"
        for buffer, sink in zip(self._buffers, (keys[-1], values[-1]), strict=True):
            buffer[self._ahead - self._tokens : self._ahead] = sink[0].transpose(0, 1)
        k_BHLK, v_BHLK = (buffer.transpose(0, 1)[None] for buffer in self._buffers)
        return self._attention(q_BHTK, k_BHLK, v_BHLK, None)


class ShiftingStep:
    """A step as others compute it: shift and generate, then pass again over what came out."""

    def __init__(
        self,
        generator: Generator,
        sinks: list[Sink],
        prompts: list[Prompt] | None,
        attention: VideoAttention,
    ) -> None:
        config = generator.config
        ahead = text_keys(config) + config.tokens
        shape = (ahead + (config.window + 1) * config.tokens, config.heads, config.head_dim)
        self._generator, self._sinks, self._prompts = generator, sinks, prompts
        self.caches = [ShiftingCache(ahead, shape, config.tokens, attention) for _ in range(config.depth)]

    def __call__(self, given: Given, recycled: Tensor, condition: Tensor, clean: bool = True) -> Tensor:
        """The latent (1, C, H, W). Mutates the caches. `clean`: whether the second pass follows."""
        latent = one_step(given.noise, self._pass(given.noise, 1.0, given, recycled, condition).float())
        if clean:
            for cache in self.caches:
                cache.clean = True
            self._pass(latent, 0.0, given, recycled, condition)
            for cache in self.caches:
                cache.clean = False
        return latent

    def _pass(self, noisy: Tensor, t: float, given: Given, recycled: Tensor, condition: Tensor) -> Tensor:
        nothing = torch.zeros(1, device=noisy.device, dtype=self._generator.dtype)
        return self._generator(
            noisy,
            recycled,
            condition,
            torch.full((1,), t, device=noisy.device),
            torch.zeros(1, dtype=torch.int64, device=noisy.device),
            self._sinks,
            self.caches,
            ropes=(given.own, given.sink),
            bias=nothing,
            prompts=self._prompts,
        )
