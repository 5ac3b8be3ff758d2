"""One live stream of a large generator, as callers see it: a portrait, then frames in, frames out.

Warped frames or motions go in, and frames come out as they are drawn: one for a stream's first step, four for every
other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from avatar_client.errors import InvalidConfigError, SessionStateLostError
from torch import Tensor

from avatar_sdk.model.generator import Generator
from avatar_sdk.model.video.build import VideoCodec
from avatar_sdk.model.video_presets import Resolution
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.torch.video.attention import VideoAttention, choose_video_attention
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.program import VideoProgram
from avatar_sdk.runtime.torch.video.ring import Rings, text_keys
from avatar_sdk.runtime.torch.video.sequence import SequencePart
from avatar_sdk.runtime.torch.video.source import TURNS, HostFrames, Pictured, Pixels, Source
from avatar_sdk.runtime.torch.video.step import Kind, VideoStep


class VideoStream:
    """Owns the device's memory for one stream; one thread at a time.

    Attributes:
        program: what is launched.
        attention: the chosen kernels.
    """

    def __init__(
        self,
        generator: Generator,
        codec: VideoCodec,
        resolution: Resolution,
        how: VideoConfig,
        part: SequencePart | None = None,
        attention: VideoAttention | None = None,
        source: Source | None = None,
    ) -> None:
        """Allocates everything.

        Args:
            generator: weights, on the device.
            codec: likewise.
            resolution: of the frames.
            how: device and numbers.
            part: of this device, if several compute the stream.
            attention: the kernels; None = asks the device.
            source: what a step is given; None = frames that were warped before.
        """
        config = generator.config
        heads = config.heads if part is None else part.heads.stop - part.heads.start
        keys = text_keys(config) + (config.window + 2) * config.tokens
        self.attention = attention or choose_video_attention(
            heads, config.tokens, keys, config.head_dim, how.device, how.dtype
        )
        self.config, self._how = config, how
        rings = Rings(config, how.device, how.dtype, how.fp8_cache, self.attention, part)
        source = source or HostFrames(resolution, codec.frame_channels, how.device)
        self.step = VideoStep(generator, codec, resolution, how, rings, source)
        self.program = VideoProgram(self.step, how)
        self._captured = False
        self._with_text: bool | None = None
        self._index, self._at, self._seed = 0, 0, 0
        self._under_way: deque[tuple[int, Kind]] = deque()

    def begin(self, portrait: Pixels | Portrait, text_SD: Tensor | None = None, seed: int = 0, at: int = 0) -> None:
        """A new stream: forgets everything. The first one captures the graphs.

        Args:
            portrait: or, if frames are given, how it is at rest: a warped frame (H, W, C) uint8 RGB, and whatever else
                the condition is made of.
            text_SD: tokens of a text (S, text_dim), or None.
            seed: of the noise.
            at: position in time of the first latent; none is different from any other.

        Raises:
            InvalidConfigError: the portrait has another size, or the text is missing or too much.
        """
        if self.config.streams == 2 and text_SD is None:
            raise InvalidConfigError("this generator attends to a text at every step; give it one", field="text")
        if self._with_text not in (None, text_SD is not None):
            raise InvalidConfigError("streams of one program all have a text, or none has", field="text")
        self._wait()
        self.step.source.begin(portrait)
        self._with_text = text_SD is not None
        self._under_way.clear()
        self.step.begin(text_SD)
        if not self._captured:
            self.program.capture()
            self._captured = True
            self._wait()
            self.step.begin(text_SD)
        self._wait()
        self._index, self._at, self._seed = 0, at, seed

    @property
    def kind(self) -> Kind:
        """Of the next step."""
        if self._index == 0:
            return Kind.FIRST
        return Kind.WARMING if self._index < self.config.window else Kind.FULL

    def submit(self, pictured: Pictured) -> None:
        """Starts the next step on warped frames (F, H, W, C) uint8 or motions, one for the first step, four for others.

        One step may be under way unfetched, so that a GPU always has the next to do.

        Raises:
            InvalidConfigError: they do not fit.
        """
        assert len(self._under_way) < TURNS, "fetch a step's frames before the step after the next is submitted"
        turn, kind = self._write(pictured)
        self.program.launch(turn, kind)
        self._under_way.append((turn, kind))
        self._index += 1

    def fetch(self) -> Iterator[Pixels]:
        """The frames (H, W, 3) uint8 RGB of the oldest step under way, each as soon as it is there.

        They are views that the second submission from here overwrites.

        Raises:
            SessionStateLostError: the latent is no longer finite; begin anew.
        """
        turn, kind = self._under_way.popleft()
        for frame in self.program.fetch(turn, kind):
            if not self.program.is_finite(turn):
                raise SessionStateLostError("the generator's latent is no longer finite; begin a new stream")
            yield frame

    def advance(self, pictured: Pictured) -> list[Pixels]:
        """`submit` and `fetch`."""
        self.submit(pictured)
        return list(self.fetch())

    def skip_to(self, at: int) -> None:
        """The next latent's position in time; what is remembered keeps its own. For measuring late positions."""
        self._at = at - self._index

    def _write(self, pictured: Pictured) -> tuple[int, Kind]:
        kind, index, feed = self.kind, self._index, self.step.feed
        feed.source.check(pictured, kind.count)
        turn = index % TURNS
        feed.write(turn, pictured, feed.noise(self._seed, index), self._at + index, self.step.rings.at(index))
        return turn, kind

    def _wait(self) -> None:
        if self._how.is_cuda:
            torch.cuda.synchronize(self._how.device)
