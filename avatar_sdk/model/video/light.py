"""A light causal decoder: two residual blocks a scale, 64, 128, 256 and 512 channels, no attention.

The shape is AAPT's (arXiv 2506.09350), which thins its own VAE's decoder out in the same way; the rest of that decoder
is not published and is the Wan VAE's here. It is trained for the latents of the encoder beside it.
"""

from __future__ import annotations

from avatar_sdk.model.video.causal_decoder import CausalDecoder
from avatar_sdk.model.video.config import LightConfig


class LightDecoder(CausalDecoder):
    """A `StreamingDecoder`."""

    def __init__(self, config: LightConfig) -> None:
        super().__init__(config.latent_channels, config.widths[::-1], config.blocks, config.doubles_time, middle=False)
        self.config = config
