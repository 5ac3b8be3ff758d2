"""A strided stem for the condition: four warped frames → one vector per token, without memory.

B streams, C channels, F frames, H rows, W columns. The generator remembers for it.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from avatar_sdk.model.video.config import FRAMES, STEM_PATCH_PX, StemConfig
from avatar_sdk.model.video.streaming import Stream, start_stream


class Stem(nn.Module):
    """A `StreamingEncoder` that is trained with the generator. A stream's first frame counts four times."""

    def __init__(self, config: StemConfig) -> None:
        super().__init__()
        self.config = config
        widths = (FRAMES * config.widths[0], *config.widths[1:])
        self.patch = nn.Conv2d(config.frame_channels, config.widths[0], STEM_PATCH_PX, stride=STEM_PATCH_PX)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.conv_out = nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)

    def start(self, rows: int, height_px: int, width_px: int) -> Stream:
        """See `StreamingEncoder.start`."""
        config = self.config
        frame = (rows, config.frame_channels, height_px, width_px)
        return start_stream(self, (), frame, config.latent_channels, config.space_px)

    def first(self, frame_BFCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingEncoder.first`."""
        stream.check_frames(frame_BFCHW, 1)
        return self._step(frame_BFCHW.expand(-1, FRAMES, -1, -1, -1))

    def later(self, frames_BFCHW: Tensor, stream: Stream) -> Tensor:
        """See `StreamingEncoder.later`."""
        stream.check_frames(frames_BFCHW, FRAMES)
        return self._step(frames_BFCHW)

    def _step(self, frames_BFCHW: Tensor) -> Tensor:
        x = self.patch(2 * frames_BFCHW.flatten(0, 1) - 1).unflatten(0, (-1, FRAMES)).flatten(1, 2)
        for conv in self.down:
            x = conv(F.silu(x))
        return self.conv_out(F.silu(x))
