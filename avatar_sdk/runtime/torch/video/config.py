"""How a stream of a large generator is computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from avatar_client.errors import InvalidConfigError

from avatar_sdk.runtime.torch.config import PRECISIONS


@dataclass(frozen=True)
class VideoConfig:
    """Where and with which numbers.

    Attributes:
        device: "cpu", "cuda" or "cuda:1".
        precision: "float32" or "bfloat16", of large matrices, remembered keys and values, and the codec; modulation,
            normalisation and what blocks add to stay float32.
        fp8: whether the blocks' matrix products take 8-bit floats; on a CPU they are emulated.
        fp8_cache: whether keys and values are remembered as 8-bit floats.
        graphs: whether steps are captured as CUDA graphs; on a CPU they never are.
        overlapped: whether a latent is decoded on a CUDA stream of its own while the next is computed; or else the
            whole step is one graph.
        compiled: whether `torch.compile` fuses what is in the blocks; off, until a measurement says that it wins.
    """

    device: str = "cpu"
    precision: str = "bfloat16"
    fp8: bool = False
    fp8_cache: bool = False
    graphs: bool = True
    overlapped: bool = True
    compiled: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for an unknown precision."""
        if self.precision not in PRECISIONS:
            raise InvalidConfigError(
                f"precision is {self.precision!r}; it must be {' or '.join(PRECISIONS)}", field="precision"
            )

    @property
    def dtype(self) -> torch.dtype:
        """Of `precision`."""
        return PRECISIONS[self.precision]

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return torch.device(self.device).type == "cuda"
