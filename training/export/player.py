"""Runs exported graphs, or the modules they came from, over a clip, in the crop.

F frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.inputs import noise
from avatar_sdk.runtime.onnx_network import OnnxNetwork
from training.data import Clip
from training.data.batches import single
from training.pixel_losses import composite
from training.rollout import RolloutConfig, RolloutState, roll
from training.teacher import features

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Step:
    """What the network makes of one frame.

    Attributes:
        latent: (1, C, grid, grid) float32.
        residual: (256, 256, 4) float32.
    """

    latent: Floats
    residual: Floats


def guides(clip: Clip) -> Iterator[Pixels]:
    """(1, 11, 256, 256) uint8 of every frame."""
    for crop, maps in zip(clip.warp, clip.maps, strict=True):
        yield np.concatenate([crop.transpose(2, 0, 1), maps])[None]


def play(network: OnnxNetwork, clip: Clip) -> Iterator[Step]:
    """The graphs, from a fresh state."""
    state = network.start(clip.reference[None])
    for guide in guides(clip):
        latent = network.latent(state, guide)
        yield Step(latent, network.residual(state, guide, latent))


@torch.inference_mode()
def play_modules(model: AvatarModel, clip: Clip) -> list[Step]:
    """The same by PyTorch, by the code that trained it."""
    batch, config = single(clip), model.config.generator
    frames = len(clip)
    sinks = model.generator.sink(model.conditioner(batch.reference()))
    eps = torch.from_numpy(np.stack([noise(config, 0, k) for k in range(frames)]))[None]
    condition = features(model.conditioner, batch.guide())
    walked = RolloutState.start(model.generator, 1, "cpu")
    latents = roll(model.generator, condition, eps, sinks, walked, RolloutConfig(frames, frames, 0))
    residuals = model.decoder.clip(latents, batch.guide())[0].permute(0, 2, 3, 1)
    return [Step(latents[:, k].numpy(), residuals[k].numpy()) for k in range(frames)]


def mouth_psnr_db(clip: Clip, steps: list[Step]) -> float:
    """PSNR of lips and mouth over all frames, as the product would show them."""
    batch = single(clip)
    residual = torch.from_numpy(np.stack([step.residual for step in steps])).permute(0, 3, 1, 2)[None]
    picture = composite(batch.guide(), batch.gate(), residual)
    error = ((picture - batch.truth()) * 127.5).square().mean(2)
    mask = batch.guide_BFCHW[:, :, 5:7].amax(2) > 127
    return float(10 * torch.log10(255**2 / error[mask].mean().clamp_min(1e-3)))
