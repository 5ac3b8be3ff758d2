"""Matrix products and memories of 8-bit floats (e4m3): one scale per row, so that no row is drowned by another.

N rows, I inputs, O outputs. Source of the product: PyTorch's scaled matrix product, which takes one scale per row of
the input and one per output; where there is no such kernel the same rounded numbers are multiplied in float32.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from avatar_client.errors import InvalidConfigError
from torch import Tensor, nn

from avatar_sdk.model.generator import Generator
from avatar_sdk.model.layers import Attention, Block

FP8: Final = torch.float8_e4m3fn
MOST: Final = torch.finfo(FP8).max
LEAST_SCALE: Final = 1e-12
STEP: Final = 16
"""The kernel takes inputs and outputs in multiples of this."""
CAPABILITY: Final = (8, 9)
"""The first CUDA devices that have such products."""


def quantised(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (..., I) as 8-bit floats, and what each must be multiplied by, (..., 1) float32."""
    scale = (x.abs().amax(-1, keepdim=True).float() / MOST).clamp(min=LEAST_SCALE)
    return (x.float() / scale).clamp(-MOST, MOST).to(FP8), scale


class Fp8Linear(nn.Module):
    """A linear layer that is never trained."""

    weight_OI: Tensor
    scale_1O: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        """Takes the weights of `linear`.

        Raises:
            InvalidConfigError: its sizes are no multiples of 16.
        """
        super().__init__()
        if linear.in_features % STEP or linear.out_features % STEP:
            raise InvalidConfigError(
                f"a layer of {linear.in_features} inputs and {linear.out_features} outputs cannot be computed with "
                f"8-bit floats; both must be multiples of {STEP}",
                field="fp8",
            )
        weight_OI, scale_O1 = quantised(linear.weight.detach())
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("scale_1O", scale_O1.t().contiguous())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) → (..., O), of the same type."""
        x_NI, scale_N1 = quantised(x.flatten(0, -2))
        if x.is_cuda:
            out = torch._scaled_mm(
                x_NI,
                self.weight_OI.t(),
                scale_a=scale_N1,
                scale_b=self.scale_1O,
                bias=None if self.bias is None else self.bias.to(torch.bfloat16),
                out_dtype=torch.bfloat16,
                use_fast_accum=True,
            )
            return out.to(x.dtype).unflatten(0, x.shape[:-1])
        out = (x_NI.float() * scale_N1) @ (self.weight_OI.float() * self.scale_1O.t()).t()
        out = out if self.bias is None else out + self.bias.float()
        return out.to(x.dtype).unflatten(0, x.shape[:-1])


def use_fp8(generator: Generator) -> Generator:
    """Replaces the linear layers through which video tokens go in every block. Mutates and returns the generator.

    What is computed once per portrait or prompt goes through the same layers where they are shared; the first and the
    last layer, and what modulates, stay as they are.

    Raises:
        InvalidConfigError: a layer's sizes do not fit, or the device has no such products.
    """
    device = generator.patch_embedding.weight.device
    if device.type == "cuda" and (have := torch.cuda.get_device_capability(device)) < CAPABILITY:
        wanted, got = (".".join(map(str, version)) for version in (CAPABILITY, have))
        raise InvalidConfigError(
            f"8-bit products need a CUDA device of capability {wanted} or more, this one has {got}; leave fp8 off",
            field="fp8",
        )
    for module in generator.blocks:
        block = cast(Block, module)
        parts: list[tuple[nn.Module, tuple[str, ...]]] = [
            (block.self_attn, ("q", "k", "v", "o")),
            (block.ffn, ("0", "2")),
        ]
        if isinstance(block.cross_attn, Attention):
            parts.append((block.cross_attn, ("q", "o")))
        for owner, names in parts:
            for name in names:
                setattr(owner, name, Fp8Linear(cast(nn.Linear, getattr(owner, name))))
    return generator
