"""One step of one stream: static shapes, static addresses, nothing is read back.

B = 1 stream, C channels, F frames, H rows, W columns. A step has three shapes: a stream's `FIRST` latent is one frame;
while the window is `WARMING` a mask hides its empty slots; once it is `FULL` there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

import torch
from torch import Tensor

from avatar_sdk.model.avatar import one_step
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Prompt
from avatar_sdk.model.video.build import VideoCodec
from avatar_sdk.model.video.config import FRAMES
from avatar_sdk.model.video_presets import Resolution
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.feed import VideoFeed
from avatar_sdk.runtime.torch.video.ring import Rings
from avatar_sdk.runtime.torch.video.source import Source


class Kind(Enum):
    """Shape of a step."""

    FIRST = "first"
    WARMING = "warming"
    FULL = "full"

    @property
    def count(self) -> int:
        """Frames of a step."""
        return 1 if self is Kind.FIRST else FRAMES


WHITE: Final = 255


class VideoStep:
    """Weights, and all that one stream remembers.

    Attributes:
        source: of the frames that the condition is made of.
        feed: what is new.
        rings: what attention remembers.
        latent: (1, C, H, W) float32, the newest output, which the next step is given again.
        shown: likewise, what is decoded.
        frames: (4, H, W, 3) uint8 RGB, what the decoder drew last; only the first after a stream's first latent.
        finite: () bool, whether the newest latent is.
        prompts: what the text is to every block, or None.
    """

    def __init__(
        self,
        generator: Generator,
        codec: VideoCodec,
        resolution: Resolution,
        how: VideoConfig,
        rings: Rings,
        source: Source,
    ) -> None:
        """Weights are on the device, in their types; see `VideoStream` for how they get there."""
        self.generator, self.codec, self.config, self.rings = generator, codec, generator.config, rings
        self._how, self.source = how, source
        height, width, device = resolution.height_px, resolution.width_px, how.device
        self.feed = VideoFeed(generator.config, source, device)
        self._seen = codec.condition.start(1, height, width)
        self._drawn = codec.decoder.start(1, height, width)
        self.latent = torch.zeros(1, *generator.config.latent_shape, device=device)
        self.shown = torch.zeros_like(self.latent)
        self.frames = torch.zeros(FRAMES, height, width, 3, dtype=torch.uint8, device=device)
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self.prompts: list[Prompt] | None = None
        self._pure_noise = torch.ones(1, device=device)
        self._no_frame = torch.zeros(1, dtype=torch.int64, device=device)
        self._no_bias = torch.zeros(1, device=device, dtype=how.dtype)

    def begin(self, text_SD: Tensor | None) -> None:
        """Forgets everything, then takes the portrait with which the source has begun.

        Args:
            text_SD: tokens of a text (S, text_dim), or None.
        """
        with torch.inference_mode():
            text_BSD = None if text_SD is None else text_SD[None].to(self._how.device)
            prompts = None if text_BSD is None else self.generator.prompt(text_BSD)
            if self.prompts is None or prompts is None:
                self.prompts = prompts
            else:
                for held, new in zip(self.prompts, prompts, strict=True):  # in place: graphs read these addresses
                    held.keys.copy_(new.keys)
                    held.values.copy_(new.values)
            condition = self.codec.condition.first(self._planes(1), self._seen)
            self.rings.begin(self.generator.sink(condition.float(), self.prompts), self.prompts)
            self._seen.reset()
            self._drawn.reset()
            self.latent.zero_()

    def predict(self, kind: Kind) -> None:
        """Warp, condition and generator. Mutates `latent`, the rings and what the condition's encoder remembers."""
        self.warp(kind)
        self.generate(self.condition(kind), kind)

    def warp(self, kind: Kind) -> None:
        """Draws the frames that the condition is made of, if their source is on the device."""
        self.source.draw(kind.count)

    def condition(self, kind: Kind) -> Tensor:
        """The warped frames as the generator takes them, (1, C, H, W) float32."""
        with torch.inference_mode():
            encode = self.codec.condition.first if kind is Kind.FIRST else self.codec.condition.later
            return encode(self._planes(kind.count), self._seen).float()

    def generate(self, condition_BCHW: Tensor, kind: Kind) -> None:
        """The next latent. Mutates `latent` and the rings."""
        with torch.inference_mode():
            given, part = self.feed.read(), self.rings.part
            self.rings.turn_to(given.slot, None if kind is Kind.FULL else given.seen)
            own = given.own if part is None else (given.own[0][:, :, part.tokens], given.own[1][:, :, part.tokens])
            v_BCHW = self.generator(
                given.noise,
                self.latent,
                condition_BCHW,
                self._pure_noise,
                self._no_frame,
                self.rings.sinks(),
                self.rings.layers,
                ropes=(own, given.sink),
                bias=self._no_bias,
                prompts=self.prompts,
                share=part,
            )
            self.latent.copy_(one_step(given.noise, v_BCHW.float()))
            self.finite.copy_(self.latent.isfinite().all())

    def show(self) -> None:
        """Hands the newest latent to the decoder."""
        with torch.inference_mode():
            self.shown.copy_(self.latent)

    @torch.inference_mode()
    def render(self, kind: Kind) -> Iterator[int]:
        """Decodes `shown` into `frames`, and yields each frame's number when its work has been given to the device.

        Mutates what the decoder remembers; all frames must be taken before the next latent.
        """
        latent = self.shown.to(self._how.dtype)
        if kind is Kind.FIRST:
            drawn = iter(self.codec.decoder.first(latent, self._drawn).unbind(1))
        else:
            drawn = self.codec.decoder.frames(latent, self._drawn)
        for i, frame_BCHW in enumerate(drawn):
            self.frames[i].copy_((frame_BCHW[0].float() * WHITE + 0.5).permute(1, 2, 0))
            yield i

    def _planes(self, count: int) -> Tensor:
        """(1, F, C, H, W) in [0, 1]: the source's first frames."""
        return (self.source.frames[:count].permute(0, 3, 1, 2)[None] / WHITE).to(self._how.dtype)
