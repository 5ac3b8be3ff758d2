"""What the benchmark of a large generator is told, and what it finds out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from avatar_client.errors import InvalidConfigError, InvalidVideoError

from avatar_sdk.machine import Machine

FPS: Final = 24
COMPARISONS: Final = ("", "self-forcing-layout")
CAVEATS: Final = (
    "random weights: time depends on shapes, pictures mean nothing",
    "aapt-8b's shape is inferred from SeedVR, the paper does not give it; the paper measured on H100",
)


@dataclass(frozen=True)
class VideoBenchConfig:
    """What is measured.

    Attributes:
        preset: see `video_sizes.MEASURED`.
        resolution: "" = the preset's own.
        window: past latents; None = the preset's own.
        codec: "taehv", "light" or "wan".
        stem: whether a stem encodes the condition.
        device: "cpu" or "cuda".
        precision: "" = bfloat16 on CUDA, float32 on a CPU.
        fp8, fp8_cache, compiled, overlapped: see `VideoConfig`.
        compare: "self-forcing-layout" measures the common layout beside ours.
        hours: of positions in time at whose end steps are measured again; 0 = not.
        sweep: whether all windows and resolutions are measured.
        steps: latents of a run. Range: [2, 100000].
    """

    preset: str
    resolution: str = ""
    window: int | None = None
    codec: str = "taehv"
    stem: bool = False
    device: str = "cpu"
    precision: str = ""
    fp8: bool = False
    fp8_cache: bool = False
    compiled: bool = False
    overlapped: bool = True
    compare: str = ""
    hours: float = 0.0
    sweep: bool = False
    steps: int = 30

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for what cannot be measured."""
        if self.compare not in COMPARISONS:
            raise InvalidConfigError(f"compare is {self.compare!r}; it must be {COMPARISONS[1]}", field="compare")
        if not 2 <= self.steps <= 100_000:
            raise InvalidConfigError(f"steps is {self.steps}; it must be in [2, 100000]", field="steps")
        if not 0 <= self.hours <= 10_000:
            raise InvalidConfigError(f"hours is {self.hours:g}; it must be in [0, 10000]", field="hours")
        if self.sweep and (self.resolution or self.window):
            raise InvalidConfigError("a sweep goes through resolutions and windows by itself; name none", field="sweep")


@dataclass(frozen=True)
class VideoRow:
    """One resolution and window.

    Attributes:
        size: what was measured, in words.
        width_px, height_px, window, tokens: of it.
        work: operations and bytes of a latent, by arithmetic.
        start_ms: weights, memory and kernels; then graphs; then the first step. Unit: milliseconds.
        stages_ms: stage → median time alone.
        tflops: stage → rate.
        share: stage → of the measured ceiling.
        floor_ms: the generator's products at the measured ceiling, and its bytes at the measured rate of reading.
        without_decode: {"ms": per latent, "fps": of video}; condition and generator, nothing fetched.
        with_decode: likewise, flat out, frames fetched on the host.
        latency_ms: of a step alone, from given frames to the first frame and to the last on the host.
        cache_bytes: {"held", "arithmetic"}.
        peak_mib: the most that torch held; None on a CPU.
        attention: the chosen kernel for a full window, and what others took in microseconds.
        layout: of `--compare`, or None.
        fp8_error: of `--fp8` or `--fp8-cache` against neither, or None.
        positions: of `--hours`, or None.
    """

    size: str
    width_px: int
    height_px: int
    window: int
    tokens: int
    work: dict[str, float]
    start_ms: dict[str, float]
    stages_ms: dict[str, float]
    tflops: dict[str, float]
    share: dict[str, float]
    floor_ms: dict[str, float]
    without_decode: dict[str, float]
    with_decode: dict[str, float]
    latency_ms: dict[str, float]
    cache_bytes: dict[str, int]
    peak_mib: float | None
    attention: dict[str, Any]
    layout: dict[str, float] | None = None
    fp8_error: dict[str, float] | None = None
    positions: dict[str, float] | None = None


@dataclass(frozen=True)
class VideoBench:
    """What was measured.

    Attributes:
        machine: where; `device` on it, and how many of them.
        config: how.
        weights: always "random".
        ceilings: measured in the same run.
        rows: one per resolution and window.
        left_out: those that do not fit the device, with the reason.
        caveats: to be read beside every figure.
    """

    machine: Machine
    device: str
    devices: int
    config: VideoBenchConfig
    weights: str
    ceilings: dict[str, float | None]
    rows: tuple[VideoRow, ...]
    left_out: tuple[str, ...]
    caveats: tuple[str, ...] = CAVEATS

    def save(self, path: Path) -> None:
        """Writes everything as JSON.

        Raises:
            InvalidVideoError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        except OSError as error:
            raise InvalidVideoError(f"the figures {path} cannot be written: {error.strerror}") from error


def best_by_size(rows: tuple[VideoRow, ...]) -> dict[str, list[tuple[int, float]]]:
    """Resolution → (window, fps with decode), for plots."""
    points: dict[str, list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row.window):
        points.setdefault(f"{row.width_px}×{row.height_px}", []).append((row.window, row.with_decode["fps"]))
    return points
