"""The whole network of one avatar: conditioner, generator and codec."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatar_sdk.model.codec import Decoder, Encoder
from avatar_sdk.model.conditioner import Conditioner
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.presets import ModelConfig


class AvatarModel(nn.Module):
    """All weights; what changes from frame to frame is in caches and decoder states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.conditioner = Conditioner(config)
        self.generator = Generator(config.generator)
        self.encoder = Encoder(config.codec)
        self.decoder = Decoder(config.codec)

    @classmethod
    def fresh(cls, config: ModelConfig, seed: int = 0) -> AvatarModel:
        """Untrained weights, the same for the same seed; the avatar they make is the warp."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(config)


def one_step(noise_BCHW: Tensor, v_BCHW: Tensor) -> Tensor:
    """The latent from pure noise in one step: x0 = ε − v(ε, t = 1)."""
    return noise_BCHW - v_BCHW
