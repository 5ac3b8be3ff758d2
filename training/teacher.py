"""Teacher forcing: a whole clip in one forward, every frame after the true one before it.

B clips, F frames or latents, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.cache import Cache, NoCache
from avatar_sdk.model.conditioner import guide_from_bytes
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Prompt, Sink
from training.data.batches import Batch
from training.framewise import FramewiseCache
from training.scene import Scene

MANY_TOKENS: Final = 256
"""Of a frame, from which on a clip's keys are not copied for each of its frames."""


@torch.no_grad()
def true_latents(model: AvatarModel, batch: Batch) -> Tensor:
    """(B, F, C, grid, grid) float32: what the encoder sees in the truth beside the warp. No gradient."""
    rows, frames = batch.truth_BFCHW.shape[:2]
    warp = guide_from_bytes(batch.guide_BFCHW[:, :, :3])
    with torch.autocast(warp.device.type, enabled=False):
        latent = model.encoder(batch.truth().flatten(0, 1), warp.flatten(0, 1))
    return torch.as_tensor(latent).unflatten(0, (rows, frames))


def before(latent_BFCHW: Tensor) -> Tensor:
    """Each frame's predecessor; zeros before the first."""
    return torch.cat([torch.zeros_like(latent_BFCHW[:, :1]), latent_BFCHW[:, :-1]], 1)


def features(conditioner: nn.Module, guide: Tensor) -> Tensor:
    """(B, F, condition_channels, H, W) from guides (B, F, ...) as the conditioner takes them."""
    rows, frames = guide.shape[:2]
    return torch.as_tensor(conditioner(guide.flatten(0, 1))).unflatten(0, (rows, frames))


def whole_clip(
    generator: Generator,
    noisy_BFCHW: Tensor,
    recycled_BFCHW: Tensor,
    condition_BFCHW: Tensor,
    t_B: Tensor,
    sinks: Sequence[Sink],
    prompts: Sequence[Prompt] | None = None,
    *,
    causal: bool = True,
    headless: bool = False,
    framewise: bool | None = None,
) -> Tensor:
    """The generator's output for all frames at once, (B, F, C, H, W), or (B, F, tokens, D) without its head.

    Args:
        generator: whose head decides the shape of the output.
        noisy_BFCHW: x_t.
        recycled_BFCHW: the previous frames.
        condition_BFCHW: the conditioner's features.
        t_B: one time per clip.
        sinks: of B rows each.
        prompts: of one row, or of B · F.
        causal: or else every frame sees all others of its clip.
        headless: whether the output is what would go into the head.
        framewise: whether attention goes frame by frame: the same numbers, less memory; None = for large frames.
    """
    rows, frames = noisy_BFCHW.shape[:2]
    config, frame_F = generator.config, torch.arange(frames)
    own, behind = ((cos.repeat(rows, 1, 1, 1), sin.repeat(rows, 1, 1, 1)) for cos, sin in generator.ropes(frame_F))
    device = noisy_BFCHW.device
    own, behind = ((cos.to(device), sin.to(device)) for cos, sin in (own, behind))
    if framewise is None:
        framewise = config.tokens >= MANY_TOKENS
    cache: Cache = NoCache(frames, causal)
    if framewise:
        cache = FramewiseCache(frames, config.window if causal else None)
    out = generator(
        noisy_BFCHW.flatten(0, 1),
        recycled_BFCHW.flatten(0, 1),
        condition_BFCHW.flatten(0, 1),
        t_B.repeat_interleave(frames),
        frame_F.repeat(rows).to(device),
        [Sink(s.keys.repeat_interleave(frames, 0), s.values.repeat_interleave(frames, 0)) for s in sinks],
        [cache] * config.depth,
        ropes=(own, behind),
        prompts=prompts,
        headless=headless,
    )
    return torch.as_tensor(out).unflatten(0, (rows, frames))


def teacher_forced(
    conditioner: nn.Module,
    generator: Generator,
    scene: Scene,
    guide: Tensor,
    noisy_BFCHW: Tensor,
    recycled_BFCHW: Tensor,
    t_B: Tensor,
) -> Tensor:
    """V (B, F, C, H, W) of a lesson's part; conditioner, sink and text are part of the graph."""
    condition = features(conditioner, guide)
    sinks, prompts = scene.read(conditioner, generator)
    return whole_clip(generator, noisy_BFCHW, recycled_BFCHW, condition, t_B, sinks, prompts)
