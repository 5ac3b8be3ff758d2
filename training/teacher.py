"""Teacher forcing: a whole clip in one forward, every frame after the true one before it.

B clips, F frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.cache import NoCache
from avatar_sdk.model.conditioner import Conditioner, guide_from_bytes
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Sink
from training.data.batches import Batch


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


def features(conditioner: Conditioner, guide_BFCHW: Tensor) -> Tensor:
    """(B, F, condition_channels, grid, grid) from guides in [-1, 1]."""
    rows, frames = guide_BFCHW.shape[:2]
    return torch.as_tensor(conditioner(guide_BFCHW.flatten(0, 1))).unflatten(0, (rows, frames))


def whole_clip(
    generator: Generator,
    noisy_BFCHW: Tensor,
    recycled_BFCHW: Tensor,
    condition_BFCHW: Tensor,
    t_B: Tensor,
    sinks: Sequence[Sink],
    *,
    bias: Tensor | None = None,
) -> Tensor:
    """The generator's output for all frames at once, (B, F, ...); causal unless another `bias` is given.

    Args:
        generator: whose head decides the shape of the output.
        noisy_BFCHW: x_t.
        recycled_BFCHW: the previous frames.
        condition_BFCHW: the conditioner's features.
        t_B: one time per clip.
        sinks: of B rows each.
        bias: additive mask; all frames of a clip are keys, in order, behind the sink.
    """
    rows, frames = noisy_BFCHW.shape[:2]
    frame_F = torch.arange(frames)
    own, behind = ((cos.repeat(rows, 1, 1, 1), sin.repeat(rows, 1, 1, 1)) for cos, sin in generator.ropes(frame_F))
    device = noisy_BFCHW.device
    own, behind = ((cos.to(device), sin.to(device)) for cos, sin in (own, behind))
    out = generator(
        noisy_BFCHW.flatten(0, 1),
        recycled_BFCHW.flatten(0, 1),
        condition_BFCHW.flatten(0, 1),
        t_B.repeat_interleave(frames),
        frame_F.repeat(rows).to(device),
        [Sink(s.keys.repeat_interleave(frames, 0), s.values.repeat_interleave(frames, 0)) for s in sinks],
        [NoCache(frames) for _ in sinks],
        ropes=(own, behind),
        bias=bias,
    )
    return torch.as_tensor(out).unflatten(0, (rows, frames))


def teacher_forced(
    model: AvatarModel, batch: Batch, noisy_BFCHW: Tensor, recycled_BFCHW: Tensor, t_B: Tensor
) -> Tensor:
    """V (B, F, C, grid, grid) of a batch; conditioner and sink are part of the graph."""
    condition = features(model.conditioner, batch.guide())
    sinks = model.generator.sink(model.conditioner(batch.reference()))
    return whole_clip(model.generator, noisy_BFCHW, recycled_BFCHW, condition, t_B, sinks)
