"""Losses on latents and logits. Those on pictures are in `pixel_losses`.

B clips, F frames, C channels, H rows, W columns. Latents have a deviation of about 1.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def mix(latent_BFCHW: Tensor, noise_BFCHW: Tensor, t_B: Tensor) -> Tensor:
    """x_t = (1 − t)·x0 + t·ε, the same t for all frames of a clip.

    Source: AAPT, arXiv 2506.09350, §3.2.
    """
    t = t_B.view(-1, 1, 1, 1, 1)
    return (1 - t) * latent_BFCHW + t * noise_BFCHW


def flow_matching(v_BFCHW: Tensor, latent_BFCHW: Tensor, noise_BFCHW: Tensor) -> Tensor:
    """Mean ‖v − (ε − x0)‖².

    Source: AAPT, arXiv 2506.09350, §3.2.
    """
    return (v_BFCHW.float() - (noise_BFCHW - latent_BFCHW)).square().mean()


def consistency(student_BFCHW: Tensor, target_BFCHW: Tensor) -> Tensor:
    """Mean over frames of √(‖a − b‖² + c²) − c, with c = 0.00054·√d; scaled so that a distance of 1 everywhere costs 1.

    Source: Improved Consistency Training, arXiv 2310.14189, eq. 8. All steps weigh the same: its weight 1 / Δσ leans
    towards the picture, where targets are certain; 1 / Δt on shifted times would lean away from it, and errs more.
    """
    squared_BF = (student_BFCHW.float() - target_BFCHW.float()).flatten(2).square().sum(-1)
    size = student_BFCHW[0, 0].numel()
    c = 0.00054 * size**0.5
    return ((squared_BF + c * c).sqrt() - c).mean() / size**0.5


def latent_huber(latent_BFCHW: Tensor, truth_BFCHW: Tensor) -> Tensor:
    """Huber distance of paired latents: squared below half a deviation, absolute above."""
    return F.huber_loss(latent_BFCHW.float(), truth_BFCHW, delta=0.5)


def relativistic(own: Tensor, other: Tensor) -> Tensor:
    """Mean softplus(other − own): `own` should look more real than its pair.

    Source: R3GAN, arXiv 2501.05441, eq. 2, with f(t) = −log(1 + e^(−t)).
    """
    return F.softplus(other.float() - own.float()).mean()


def penalty(logits: Tensor, nudged: Tensor) -> Tensor:
    """Mean ‖D(x) − D(x + σε)‖²: R1 for real x, R2 for fake x, without second derivatives.

    Source: APT, arXiv 2501.08316, eq. 3; AAPT, arXiv 2506.09350, §3.3.
    """
    return (logits.float() - nudged.float()).square().mean()
