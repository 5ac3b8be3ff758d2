"""What attention remembers of one stream: fixed addresses, one write of one frame per step, nothing moves.

Keys and values of a layer lie in one buffer, [text | sink | N + 1 slots], T tokens each but for the text, so that any
kernel can take it whole. Frame k is written into slot k % (N + 1), over the frame that has just left the window, before
it is attended to: with a full window every slot is seen, and no mask is needed. Keys are stored roped; those of the
sink are written anew at every step. L keys in all, H heads (of this device), T tokens, K head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from avatar_sdk.model.cache import KV
from avatar_sdk.model.inputs import MASKED
from avatar_sdk.model.layers import Prompt, Sink
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.runtime.torch.video.attention import VideoAttention
from avatar_sdk.runtime.torch.video.fp8 import FP8, quantised
from avatar_sdk.runtime.torch.video.sequence import SequencePart


class Buffer:
    """Keys or values of one layer; of 8-bit floats with a scale per key and head, if so wished."""

    def __init__(self, shape_LHK: tuple[int, int, int], device: str, dtype: torch.dtype, fp8: bool) -> None:
        """`dtype` is what is read; it is held as that, or as 8-bit floats."""
        self._dtype = dtype
        self.held_LHK = torch.zeros(shape_LHK, device=device, dtype=FP8 if fp8 else dtype)
        self.scale_LH1 = torch.zeros(*shape_LHK[:2], 1, device=device) if fp8 else None

    def write(self, rows: Tensor, x_BHTK: Tensor) -> None:
        """Overwrites these rows (T,) by the one row's keys (1, H, T, K)."""
        x_THK = x_BHTK[0].transpose(0, 1)
        if self.scale_LH1 is None:
            self.held_LHK.index_copy_(0, rows, x_THK.to(self._dtype))
            return
        held, scale = quantised(x_THK)
        self.held_LHK.view(torch.uint8).index_copy_(0, rows, held.view(torch.uint8))
        self.scale_LH1.index_copy_(0, rows, scale)

    def read(self) -> Tensor:
        """(1, H, L, K); a view, unless it has to be widened."""
        held = self.held_LHK
        if self.scale_LH1 is not None:
            held = held.to(self._dtype) * self.scale_LH1.to(self._dtype)
        return held.transpose(0, 1)[None]

    def zero(self) -> None:
        """Forgets everything."""
        self.held_LHK.view(torch.uint8).zero_()

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        tensors = (self.held_LHK, *(() if self.scale_LH1 is None else (self.scale_LH1,)))
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class Ring:
    """One layer's memory; a `Cache`."""

    def __init__(
        self, rings: Rings, shape_LHK: tuple[int, int, int], device: str, dtype: torch.dtype, fp8: bool
    ) -> None:
        self._rings = rings
        self.keys, self.values = (Buffer(shape_LHK, device, dtype, fp8) for _ in range(2))

    def append(self, k_BHTK: Tensor, v_BHTK: Tensor, frame_B: Tensor) -> KV:
        """Writes the frame where `Rings.turn_to` says. Mutates the ring."""
        rings = self._rings
        if rings.part is not None:
            k_BHTK, v_BHTK = rings.part.to_heads(k_BHTK), rings.part.to_heads(v_BHTK)
        self.keys.write(rings.rows, k_BHTK)
        self.values.write(rings.rows, v_BHTK)
        return KV((), (), frame_B, kernel=self._attend)

    def _attend(self, q_BHTK: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> Tensor:
        """Over the whole buffer; of what stands in front of it, only the sink's keys are new, and come last."""
        rings = self._rings
        self.keys.write(rings.sink_rows, keys[-1])
        if rings.part is not None:
            q_BHTK = rings.part.to_heads(q_BHTK)
        mixed = rings.attention(q_BHTK, self.keys.read(), self.values.read(), rings.mask)
        return mixed if rings.part is None else rings.part.to_tokens(mixed)


class Rings:
    """The memories of all layers, and where they are written next.

    Attributes:
        layers: one `Ring` per block.
        rows: (T,) int64, where the current frame is written.
        sink_rows: (T,) int64, likewise of the sink.
        mask: (1, 1, 1, L), additive; None = the window is full.
        part: of this device, if several compute one stream.
        attention: the kernels.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        device: str,
        dtype: torch.dtype,
        fp8: bool,
        attention: VideoAttention,
        part: SequencePart | None = None,
    ) -> None:
        self.attention, self.part = attention, part
        self._dtype = dtype
        self.ahead, self.tokens, self.slots = text_keys(config), config.tokens, config.window + 1
        self.length = self.ahead + (self.slots + 1) * self.tokens
        self._heads = slice(0, config.heads) if part is None else part.heads
        shape = (self.length, self._heads.stop - self._heads.start, config.head_dim)
        self.layers = [Ring(self, shape, device, dtype, fp8) for _ in range(config.depth)]
        self._places = torch.arange(self.length, device=device)
        self.sink_rows = self._places[self.ahead : self.ahead + self.tokens]
        self._offsets = self._places[self.ahead + self.tokens : self.ahead + 2 * self.tokens]
        self.rows = self._offsets
        self.mask: Tensor | None = None
        self.sink_keys: list[Tensor] = []

    def begin(self, sinks: Sequence[Sink], prompts: Sequence[Prompt] | None) -> None:
        """Forgets everything, then takes a portrait and, for generators whose text stands in front, a text."""
        own, ahead = self._heads, self._places[: self.ahead]
        if not self.sink_keys:  # their address is what a graph reads
            self.sink_keys = [torch.empty_like(sink.keys[:, own]) for sink in sinks]
        for i, (layer, sink) in enumerate(zip(self.layers, sinks, strict=True)):
            layer.keys.zero()
            layer.values.zero()
            self.sink_keys[i].copy_(sink.keys[:, own])
            layer.values.write(self.sink_rows, sink.values[:, own])
            if self.ahead and prompts is not None:
                layer.keys.write(ahead, prompts[i].keys[:, own])
                layer.values.write(ahead, prompts[i].values[:, own])

    def sinks(self) -> list[Sink]:
        """What the generator is to rope anew: only keys count, values lie in the buffers."""
        return [Sink(keys, keys) for keys in self.sink_keys]

    def turn_to(self, slot: Tensor, seen: Tensor | None) -> None:
        """Where this step's frame goes, () int64, and how many keys it may see, () int64; None = all."""
        self.rows = self._offsets + slot * self.tokens
        self.mask = None
        if seen is not None:
            # By arithmetic: a number chosen by `where` comes from the host, which a CUDA graph cannot hold.
            self.mask = ((self._places >= seen).to(self._dtype) * float(MASKED))[None, None, None]

    def at(self, index: int) -> tuple[int, int]:
        """Slot of a stream's frame, counted from 0, and how many keys it may see."""
        return index % self.slots, self.ahead + (1 + min(index + 1, self.slots)) * self.tokens

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        held = sum(layer.keys.bytes + layer.values.bytes for layer in self.layers)
        return held + sum(keys.numel() * keys.element_size() for keys in self.sink_keys)


def text_keys(config: GeneratorConfig) -> int:
    """Keys of the text that stand in front of the sink: none, if the text has a layer of its own."""
    return config.text_tokens if config.streams == 2 else 0
