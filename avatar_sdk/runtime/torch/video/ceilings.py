"""What the device can do at best, measured beside whatever is held against it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch

from avatar_sdk.runtime.torch.video.fp8 import CAPABILITY, quantised

REPEATS: Final = 10
SIDES: Final = {"cuda": 8192, "cpu": 512}
"""Of square matrices."""
BYTES: Final = {"cuda": 2**30, "cpu": 2**24}
"""Of what is copied."""


@dataclass(frozen=True)
class Ceilings:
    """Rates of large operations that do nothing else.

    Attributes:
        product_tflops: of a matrix product in the given type.
        copy_gb_per_s: bytes read and written by a copy on the device.
        fp8_tflops: of a matrix product of 8-bit floats; None where there is none.
    """

    product_tflops: float
    copy_gb_per_s: float
    fp8_tflops: float | None = None


def measure_ceilings(device: str, dtype: torch.dtype) -> Ceilings:
    """Medians of ten; takes a fraction of a second."""
    kind = torch.device(device).type
    side = SIDES[kind]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source = torch.empty(BYTES[kind], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    operations = 2 * side**3
    fp8 = None
    if kind == "cuda" and torch.cuda.get_device_capability(device) >= CAPABILITY:
        (x, scale_x), (y, scale_y) = quantised(a), quantised(b)
        scale_y = scale_y.t().contiguous()

        def product() -> object:
            return torch._scaled_mm(
                x, y.t(), scale_a=scale_x, scale_b=scale_y, out_dtype=torch.bfloat16, use_fast_accum=True
            )

        fp8 = operations / median_s(product, device) / 1e12
    return Ceilings(
        operations / median_s(lambda: torch.mm(a, b), device) / 1e12,
        2 * source.numel() / median_s(lambda: target.copy_(source), device) / 1e9,
        fp8,
    )


def median_s(run: Callable[[], object], device: str, repeats: int = REPEATS) -> float:
    """Median seconds of a call: between events on the device, or by the clock on a CPU."""
    for _ in range(2):
        run()
    if torch.device(device).type != "cuda":
        spent = []
        for _ in range(repeats):
            started = time.perf_counter()
            run()
            spent.append(time.perf_counter() - started)
        return sorted(spent)[repeats // 2]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    events[0].record()
    for event in events[1:]:
        run()
        event.record()
    events[-1].synchronize()
    return sorted(a.elapsed_time(b) / 1000 for a, b in pairwise(events))[repeats // 2]
