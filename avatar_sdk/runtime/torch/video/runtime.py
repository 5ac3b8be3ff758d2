"""A large generator as a `Runtime`: motions go in one by one, and come out as pictures four steps later.

A latent is four frames, so nothing can be drawn of a motion before three more are there. To keep an even pace every
motion waits for four others: the step of a latent has all this time to be computed and drawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from avatar_client.errors import InvalidConfigError, NoCapacityError

from avatar_sdk.model.checkpoint import GENERATOR_PART, GENERATOR_STAGES, read_part
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.config import FRAMES, VideoCodecConfig
from avatar_sdk.model.video_presets import Resolution, VideoPreset
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.guide import at_rest
from avatar_sdk.runtime.torch.config import check_device
from avatar_sdk.runtime.torch.device import free_bytes
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.memory import cache_bytes
from avatar_sdk.runtime.torch.video.source import Pixels
from avatar_sdk.runtime.torch.video.stream import VideoStream
from avatar_sdk.runtime.torch.video.text import read_text
from avatar_sdk.runtime.torch.video.warp import DeviceWarp
from avatar_sdk.runtime.torch.video.weights import load_parts, resized

GENERATOR_FILE: Final = "model.safetensors"
CODEC_FILE: Final = "codec.safetensors"
TEXT_FILE: Final = "text.safetensors"


@dataclass(frozen=True, eq=False)
class VideoDraft:
    """A motion on its way to a picture.

    Attributes:
        number: of the motion, from 0.
        timings_us: of launching the step where this motion completed a latent; the warp is a part of it.
    """

    number: int
    timings_us: dict[str, int]


@dataclass(eq=False)
class VideoState:
    """Everything one live avatar remembers.

    Attributes:
        still: the portrait at rest as the generator drew it, shown until the first latent is there.
        gathered: motions of the latent to come.
        coming: frames of the latent that is shown.
    """

    seed: int
    stream: VideoStream
    still: Pixels
    gathered: list[Motion] = field(default_factory=list)
    coming: Iterator[Pixels] = field(default_factory=lambda: iter(()))
    motions: int = 0
    open: bool = True


class VideoRuntime:
    """Implements `Runtime` on a folder that training has left: generator, codec, and a text or none."""

    together = False
    delay = FRAMES

    def __init__(self, folder: Path, how: VideoConfig) -> None:
        """Loads the weights; streams are allocated when sessions start, for the size of their portraits.

        Raises:
            InvalidConfigError: a file is missing or broken, or has not been through all stages.
            MissingDependencyError: the device is not there.
        """
        header = read_part(folder / GENERATOR_FILE)
        if header.part != GENERATOR_PART or not set(GENERATOR_STAGES) <= set(header.stages):
            raise InvalidConfigError(header.refusal(folder / GENERATOR_FILE), field="model")
        check_device(how.device)
        self.name, self.trained_stages = header.preset or GENERATOR_PART, header.stages
        self._how, config = how, GeneratorConfig.from_dict(header.config)
        drawer = VideoCodecConfig.from_dict(read_part(folder / CODEC_FILE).config).decoder
        rows, columns = (side * config.patch * drawer.space_px for side in config.grid_shape)
        self._text = read_text(folder / TEXT_FILE, config)
        self._generator, self._codec = load_parts(
            folder / GENERATOR_FILE,
            folder / CODEC_FILE,
            Resolution(columns, rows),
            how,
            free=free_bytes(how.device),
        )
        self._idle: list[VideoStream] = []
        self._lock = threading.Lock()

    def start(self, portrait: Portrait, seed: int = 0) -> VideoState:
        """Takes an idle stream of the portrait's size, or allocates one and captures its graphs.

        Raises:
            InvalidConfigError: the portrait's size does not divide into tokens.
            NoCapacityError: the device has no room for one more.
        """
        stream = self._stream(portrait)
        return VideoState(seed, stream, self._begin(stream, portrait, seed))

    def replace_portrait(self, state: VideoState, portrait: Portrait) -> None:
        """Mutates `state` in place: another face begins anew, for what is remembered shows the other person."""
        if portrait.image.shape != state.still.shape:
            raise InvalidConfigError(
                f"the portrait is {portrait.image.shape[1]}×{portrait.image.shape[0]}, the session's frames are "
                f"{state.still.shape[1]}×{state.still.shape[0]}",
                field="portrait",
            )
        for _ in state.coming:
            pass
        state.still = self._begin(state.stream, portrait, state.seed)
        state.gathered, state.coming, state.motions = [], iter(()), 0

    def predict(self, state: VideoState, motion: Motion) -> VideoDraft:
        """With every fourth motion warp and generator are started, which on a GPU run on by themselves."""
        started = time.perf_counter_ns()
        state.gathered.append(motion)
        if len(state.gathered) == FRAMES:
            state.stream.submit(state.gathered)
            state.gathered = []
        number, state.motions = state.motions, state.motions + 1
        return VideoDraft(number, {"warp": 0, "generator": (time.perf_counter_ns() - started) // 1000})

    def render(self, state: VideoState, draft: VideoDraft) -> Pixels:
        """The picture of the motion `delay` steps before; the still portrait as long as there is none."""
        started = time.perf_counter_ns()
        if draft.number < FRAMES:
            image = state.still.copy()
        else:
            if draft.number % FRAMES == 0:
                state.coming = state.stream.fetch()
            image = next(state.coming).copy()
        draft.timings_us.update(decode=(time.perf_counter_ns() - started) // 1000, composite=0)
        return image

    def close(self, state: VideoState) -> None:
        """Keeps the stream for the next session. Idempotent."""
        with self._lock:
            if state.open:
                state.open = False
                self._idle.append(state.stream)

    def _stream(self, portrait: Portrait) -> VideoStream:
        height, width = portrait.image.shape[:2]
        with self._lock:
            for stream in self._idle:
                if stream.step.frames.shape[1:3] == (height, width):
                    self._idle.remove(stream)
                    return stream
        size = Resolution(width, height)
        config = VideoPreset(self._generator.config, self._codec.decoder.config.space_px).at(size)
        needed, free = cache_bytes(config, self._how.dtype, self._how.fp8_cache), free_bytes(self._how.device)
        if needed > free:
            raise NoCapacityError(
                f"one more session needs {needed / 2**30:.1f} GiB for keys and values alone, {free / 2**30:.1f} are "
                "free on the device; close a session"
            )
        warp = DeviceWarp(size, self._codec.frame_channels, self._how.device)
        return VideoStream(resized(self._generator, config), self._codec, size, self._how, source=warp)

    def _begin(self, stream: VideoStream, portrait: Portrait, seed: int) -> Pixels:
        """A stream's first latent is one frame: the portrait at rest."""
        stream.begin(portrait, self._text, seed)
        return stream.advance([at_rest(portrait)])[0].copy()
