"""What a batch of sessions is configured with, and whether its device is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError, MissingDependencyError

PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MOST_SLOTS: Final = 1024
SIDE_LIMITS_PX: Final = (64, 2048)


@dataclass(frozen=True)
class BatchConfig:
    """How many sessions, where and at which size.

    Attributes:
        slots: sessions that can live at once. Range: [1, 1024].
        device: "cpu", "cuda" or "cuda:1".
        width_px, height_px: size of every session's output. Range: [64, 2048], even.
        precision: "float32" or "bfloat16", of the network's products; pictures and positions stay float32.
        graphs: whether ticks are captured as CUDA graphs; on a CPU they never are.
        compiled: whether `torch.compile` fuses the network; off, until a measurement says that it wins.
    """

    slots: int = 8
    device: str = "cpu"
    width_px: int = 512
    height_px: int = 512
    precision: str = "float32"
    graphs: bool = True
    compiled: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for a value out of range."""
        low, high = SIDE_LIMITS_PX
        for name in ("width_px", "height_px"):
            side = getattr(self, name)
            if not low <= side <= high or side % 2:
                raise InvalidConfigError(f"{name} is {side}; it must be even and in [{low}, {high}]", field=name)
        if not 1 <= self.slots <= MOST_SLOTS:
            raise InvalidConfigError(f"slots is {self.slots}; it must be in [1, {MOST_SLOTS}]", field="slots")
        if self.precision not in PRECISIONS:
            raise InvalidConfigError(
                f"precision is {self.precision!r}; it must be {' or '.join(PRECISIONS)}", field="precision"
            )

    @property
    def buckets(self) -> tuple[int, ...]:
        """Sizes of a tick: powers of two, and the number of slots."""
        return (*(1 << k for k in range(self.slots.bit_length()) if 1 << k < self.slots), self.slots)


def check_device(device: str) -> None:
    """Refuses a device that is not there, before anything is allocated.

    Raises:
        InvalidConfigError: not a device that this runs on.
        MissingDependencyError: a CUDA device that torch does not see.
    """
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InvalidConfigError(f"device is {device!r}; it must be cpu, cuda or cuda:N", field="device") from error
    if wanted.type == "cpu":
        return
    if wanted.type != "cuda":
        raise InvalidConfigError(f"device is {device!r}; it must be cpu, cuda or cuda:N", field="device")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (wanted.index or 0) >= count:
        raise MissingDependencyError(
            f"there is no CUDA device for {device!r}: torch {torch.__version__} sees {count}; install a torch with "
            "CUDA on a machine that has one, or use --device cpu"
        )


def check_memory(needed: int, free: int, slots: int) -> None:
    """Refuses slots that the device cannot hold, before they are allocated; what a tick works in comes on top.

    Raises:
        InvalidConfigError: with the bytes needed and free, and how many slots fit.
    """
    if needed > free:
        raise InvalidConfigError(
            f"{slots} slots need {needed / 2**30:.2f} GiB on the device, and {free / 2**30:.2f} GiB are free; at most "
            f"{free * slots // needed} fit",
            field="slots",
        )
