"""What every video encoder and decoder promises: one latent at a time, all memory in a `Stream`.

B streams side by side, C channels, F frames, L latents, H rows, W columns. Frames are RGB in [0, 1]; latents are
normalised, as generators see them. A step has two shapes, which are two methods: the `first` of a stream is one frame,
each `later` one is four. Nothing else branches, nothing reads a value back, and all memory keeps its address, so that
each of the two can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor, nn

from avatar_sdk.model.video.config import FRAMES

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Stream:
    """What an encoder or a decoder remembers of one video, overwritten in place. All zeros = nothing was seen.

    Attributes:
        frame_shape: (B, C, H, W) of every frame.
        latent_shape: (B, C, H, W) of every latent.
        memories: one (B, ...) per layer that remembers, in the order of use.
    """

    frame_shape: Shape
    latent_shape: Shape
    memories: tuple[Tensor, ...]

    def reset(self) -> None:
        """Forgets everything."""
        for memory in self.memories:
            memory.zero_()

    def check_latent(self, latent_BCHW: Tensor) -> None:
        """Refuses a latent of another shape.

        Raises:
            InvalidConfigError: with both shapes.
        """
        if latent_BCHW.shape != self.latent_shape:
            raise InvalidConfigError(
                f"the latent is {_times(latent_BCHW.shape)}, the stream's are {_times(self.latent_shape)} "
                "(streams × channels × rows × columns)",
                field="latent",
            )

    def check_frames(self, frames_BFCHW: Tensor, count: int) -> None:
        """Refuses frames of another shape or number.

        Raises:
            InvalidConfigError: with both shapes.
        """
        rows, *frame = self.frame_shape
        wanted = (rows, count, *frame)
        if frames_BFCHW.shape != wanted:
            raise InvalidConfigError(
                f"the frames are {_times(frames_BFCHW.shape)}, this step takes {_times(wanted)} "
                "(streams × frames × channels × rows × columns)",
                field="frames",
            )


class StreamingEncoder(Protocol):
    """Weights that turn frames into latents; what changes is in the stream."""

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """A fresh stream of `rows` videos of this size, on the weights' device and in their type.

        Raises:
            InvalidConfigError: the size is no multiple of a latent cell's.
        """

    def first(self, frame_BFCHW: Tensor, stream: Stream) -> Tensor:
        """The latent (B, C, H, W) of one frame (B, 1, 3, H, W). Forgets what was before. Mutates `stream`."""

    def later(self, frames_BFCHW: Tensor, stream: Stream) -> Tensor:
        """The latent (B, C, H, W) of the next four frames (B, 4, 3, H, W). Mutates `stream` in place."""


class StreamingDecoder(Protocol):
    """Weights that turn latents into frames; what changes is in the stream.

    Frames are clipped to [0, 1], but in training mode, where what is too bright or too dark must keep its gradient.
    """

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """A fresh stream of `rows` videos of this size, on the weights' device and in their type.

        Raises:
            InvalidConfigError: the size is no multiple of a latent cell's.
        """

    def first(self, latent_BCHW: Tensor, stream: Stream) -> Tensor:
        """The first frame (B, 1, 3, H, W). Forgets what was before. Mutates `stream` in place."""

    def later(self, latent_BCHW: Tensor, stream: Stream) -> Tensor:
        """The next four frames (B, 4, 3, H, W). Mutates `stream` in place."""

    def frames(self, latent_BCHW: Tensor, stream: Stream) -> Iterator[Tensor]:
        """`later`, frame by frame (B, 3, H, W), each computed when asked for where the network allows it.

        Mutates `stream` in place; all four must be taken before the next latent.
        """


def start_stream(
    module: nn.Module,
    memories: Iterable[Shape],
    frame_shape: Shape,
    latent_channels: int,
    space_px: int,
) -> Stream:
    """Allocates a stream for `module`.

    Args:
        module: gives device and type.
        memories: shape of each memory, without B.
        frame_shape: (B, C, H, W).
        latent_channels: of a latent.
        space_px: pixels per side of a latent's cell.

    Raises:
        InvalidConfigError: the frames are no multiple of `space_px`.
    """
    rows, _, height_px, width_px = frame_shape
    check_size(height_px, width_px, space_px)
    like = next(module.parameters())
    latent = (rows, latent_channels, height_px // space_px, width_px // space_px)
    return Stream(
        frame_shape,
        latent,
        tuple(torch.zeros(rows, *shape, device=like.device, dtype=like.dtype) for shape in memories),
    )


def check_size(height_px: int, width_px: int, space_px: int) -> None:
    """Refuses frames that latent cells cannot tile.

    Raises:
        InvalidConfigError: names the side at fault and the nearest size that fits.
    """
    for side, size in (("height", height_px), ("width", width_px)):
        if size < space_px or size % space_px:
            nearest = max(space_px, round(size / space_px) * space_px)
            raise InvalidConfigError(
                f"the {side} of {size} px must be a positive multiple of {space_px} px; the nearest is {nearest}",
                field=side,
            )


def encode_portrait(encoder: StreamingEncoder, image_BCHW: Tensor) -> Tensor:
    """The latent (B, C, H, W) of a still picture, RGB (B, 3, H, W) in [0, 1].

    Raises:
        InvalidConfigError: the size does not fit.
    """
    rows, _, height_px, width_px = image_BCHW.shape
    return encoder.first(image_BCHW[:, None], encoder.start(rows, height_px, width_px))


def encode_clip(encoder: StreamingEncoder, frames_BFCHW: Tensor) -> Tensor:
    """The latents (B, L, C, H, W) of a clip of 1 + 4·(L − 1) frames, RGB (B, F, 3, H, W) in [0, 1].

    Raises:
        InvalidConfigError: number or size of the frames does not fit.
    """
    rows, count, _, height_px, width_px = frames_BFCHW.shape
    if count % FRAMES != 1:
        raise InvalidConfigError(f"a clip has 1 + {FRAMES}·n frames, this one {count}", field="frames")
    stream = encoder.start(rows, height_px, width_px)
    latents = [encoder.first(frames_BFCHW[:, :1], stream)]
    latents += [encoder.later(part, stream) for part in frames_BFCHW[:, 1:].split(FRAMES, 1) if part.shape[1]]
    return torch.stack(latents, 1)


def decode_clip(decoder: StreamingDecoder, latents_BLCHW: Tensor, height_px: int, width_px: int) -> Tensor:
    """The 1 + 4·(L − 1) frames (B, F, 3, H, W) of a clip's latents (B, L, C, H, W).

    Raises:
        InvalidConfigError: a shape does not fit.
    """
    stream = decoder.start(len(latents_BLCHW), height_px, width_px)
    head, *tail = latents_BLCHW.unbind(1)
    return torch.cat([decoder.first(head, stream), *(decoder.later(latent, stream) for latent in tail)], 1)


def _times(shape: Iterable[int]) -> str:
    return "×".join(str(n) for n in shape)
