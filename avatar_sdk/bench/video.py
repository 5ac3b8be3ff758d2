"""How fast a large generator streams here: stage by stage, against what the device can do at best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import cycle
from typing import TYPE_CHECKING, Final

import numpy as np
from avatar_client.errors import InvalidConfigError, MissingDependencyError

from avatar_sdk.bench.motions import sample_motions
from avatar_sdk.bench.video_figures import CAVEATS, FPS, VideoBench, VideoBenchConfig, VideoRow
from avatar_sdk.bench.video_report import ceilings_line, row_table
from avatar_sdk.bench.video_sizes import VideoSize, swept_sizes, video_size
from avatar_sdk.machine import Machine
from avatar_sdk.portrait import PortraitConfig, load_portrait
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT
from avatar_sdk.runtime.guide import at_rest

if TYPE_CHECKING:
    from avatar_sdk.model.generator import Generator
    from avatar_sdk.model.video.build import VideoCodec
    from avatar_sdk.runtime.torch.video.config import VideoConfig
    from avatar_sdk.runtime.torch.video.sequence import SequencePart
    from avatar_sdk.runtime.torch.video.stream import VideoStream

FRAMES: Final = 4
LOOP: Final = 24
"""Latents whose motions are gone through again and again."""
TRACED: Final = 6
"""Latents over which the error of fewer bits is followed."""
Say = Callable[[str], None]


def run_video(config: VideoBenchConfig, say: Say) -> VideoBench | None:
    """Measures everything; None in all processes of `torchrun` but the first, which alone speaks.

    Raises:
        InvalidConfigError: sizes do not fit each other, or not the device.
        MissingDependencyError: torch or the device is not there.
    """
    if not find_spec("torch"):
        raise MissingDependencyError("torch is not installed; install avatar-sdk[train] or avatar-sdk[gpu]")
    resolutions, windows = swept_sizes(config.preset) if config.sweep else ((config.resolution,), (config.window,))
    sizes = [video_size(config.preset, r, n, config.codec, config.stem) for r in resolutions for n in windows]
    from avatar_sdk.runtime.torch.config import check_device
    from avatar_sdk.runtime.torch.device import device_name
    from avatar_sdk.runtime.torch.video.ceilings import measure_ceilings
    from avatar_sdk.runtime.torch.video.config import VideoConfig
    from avatar_sdk.runtime.torch.video.sequence import SequencePart, joined_devices

    check_device(config.device)
    with joined_devices(config.device) as (rank, devices, device):
        if devices > 1 and (config.compare or config.sweep):
            raise InvalidConfigError("comparisons and sweeps are measured on one device", field="devices")
        parts = [SequencePart.of(size.generator, rank, devices) if devices > 1 else None for size in sizes]
        how = VideoConfig(
            device,
            config.precision or ("float32" if device == "cpu" else "bfloat16"),
            config.fp8,
            config.fp8_cache,
            overlapped=config.overlapped,
            compiled=config.compiled,
        )
        tell: Say = say if rank == 0 else lambda _: None
        machine, name = Machine.here(), device_name(device)
        tell(f"{machine}\n{name}" + (f", {devices} processes for one stream" if devices > 1 else ""))
        ceilings = asdict(measure_ceilings(device, how.dtype))
        tell(f"{ceilings_line(ceilings, how.precision)}\n" + "\n".join(CAVEATS))
        rows, left_out = [], []
        for size, part in zip(sizes, parts, strict=True):
            tell(f"\n{size}, {how.precision}")
            try:
                rows.append(_Measured(config, size, how, part, devices).row(ceilings))
            except InvalidConfigError as error:
                if not config.sweep:
                    raise
                left_out.append(error.message)
                tell(f"  left out: {error.message}")
                continue
            tell(row_table(rows[-1]))
    if rank:
        return None
    return VideoBench(machine, name, devices, config, "random", ceilings, tuple(rows), tuple(left_out))


class _Measured:
    """One resolution and window."""

    def __init__(
        self, config: VideoBenchConfig, size: VideoSize, how: VideoConfig, part: SequencePart | None, devices: int
    ) -> None:
        self._config, self._size, self._how, self._part, self._devices = config, size, how, part, devices
        output = PortraitConfig(size.resolution.width_px, size.resolution.height_px)
        self._portrait = load_portrait(SAMPLE_PORTRAIT, output)
        self._rest = [at_rest(self._portrait)]
        motions = sample_motions(self._portrait, FRAMES * LOOP)
        self._latents = [motions[k : k + FRAMES] for k in range(0, len(motions), FRAMES)]
        self._motions = cycle(self._latents)

    def row(self, ceilings: dict[str, float | None]) -> VideoRow:
        """Measures it."""
        from avatar_sdk.runtime.torch.device import peak_bytes
        from avatar_sdk.runtime.torch.video.memory import cache_bytes
        from avatar_sdk.runtime.torch.video.stages import compare_layouts, stage_times
        from avatar_sdk.runtime.torch.video.work import video_work

        config, size, how = self._config, self._size, self._how
        self._check_memory()
        stream, start_ms, error = self._started()
        throughput = self._flat_out(stream)
        latency = self._alone(stream)
        positions = self._late(stream) if config.hours else None
        stages = stage_times(stream, how, config.steps)
        layout = asdict(compare_layouts(stream, how, config.steps)) if config.compare else None
        if layout:
            layout["ratio"] = round(layout["shifting_ms"] / layout["ring_ms"], 3)
        work = video_work(size.generator, size.codec, size.resolution, how)
        ceiling = ceilings["product_tflops"] or 0.0
        # Every process of several has its part of the generator, and the whole of the codec.
        of_stage = {
            "condition": work.condition,
            "generator": work.generator / self._devices,
            "decode": work.decode,
        }
        rates = {name: 1000 * tera / stages[name] for name, tera in of_stage.items()}
        compute_ms, read_ms = work.floor_ms(ceiling, ceilings["copy_gb_per_s"] or 0.0)
        bare_ms = stages["warp"] + stages["condition"] + stages["generator"]
        peak = peak_bytes(how.device)
        return VideoRow(
            size=str(size),
            width_px=size.resolution.width_px,
            height_px=size.resolution.height_px,
            window=size.generator.window,
            tokens=size.generator.tokens,
            work=asdict(work) | {"generator": work.generator, "intensity": round(work.intensity, 2)},
            start_ms=start_ms,
            stages_ms=stages,
            tflops={name: float(f"{rate:.4g}") for name, rate in rates.items()},
            share={name: float(f"{rate / ceiling:.4g}") for name, rate in rates.items()},
            floor_ms={"products": round(compute_ms / self._devices, 4), "reads": round(read_ms / self._devices, 4)},
            without_decode=_rate(bare_ms),
            with_decode=throughput,
            latency_ms=latency,
            cache_bytes={
                "held": stream.step.rings.bytes,
                "arithmetic": cache_bytes(size.generator, how.dtype, how.fp8_cache, self._devices),
            },
            peak_mib=None if peak is None else round(peak / 2**20, 1),
            attention=asdict(stream.attention),
            layout=layout,
            fp8_error=error,
            positions=positions,
        )

    def _check_memory(self) -> None:
        from avatar_sdk.runtime.torch.device import free_bytes, tidy
        from avatar_sdk.runtime.torch.video.memory import cache_bytes, check_video_memory

        tidy(self._how.device)
        size, free = self._size, free_bytes(self._how.device)
        if self._config.compare:  # the other layout has keys and values of its own
            free -= cache_bytes(size.generator, self._how.dtype)
        check_video_memory(size.name, size.generator, size.codec, size.resolution, self._how, free, self._devices)

    def _started(self) -> tuple[VideoStream, dict[str, float], dict[str, float] | None]:
        """A stream whose window is about to be full, the times until then, and the error of fewer bits."""
        from avatar_sdk.runtime.torch.device import tidy
        from avatar_sdk.runtime.torch.video.fidelity import precision_error, random_text, trace
        from avatar_sdk.runtime.torch.video.fp8 import use_fp8
        from avatar_sdk.runtime.torch.video.weights import random_parts

        size, how = self._size, self._how
        lowered = how.fp8 or how.fp8_cache
        started = time.perf_counter()
        # Fewer bits come second, so that the same weights can be followed in full first.
        plain = replace(how, fp8=False, fp8_cache=False)
        generator, codec = random_parts(size.generator, size.codec, plain)
        whole, traced = None, [self._rest, *self._latents[: TRACED - 1]]
        if lowered:
            stream = self._stream(generator, codec, replace(plain, graphs=False))
            whole = trace(stream, self._portrait, traced)
            del stream
            tidy(how.device)
            if how.fp8:
                use_fp8(generator)
        stream = self._stream(generator, codec, how)
        ready = time.perf_counter()
        text = random_text(stream)
        stream.begin(self._portrait, text)
        captured = time.perf_counter()
        stream.advance(self._rest)
        first = time.perf_counter()
        error = asdict(precision_error(whole, trace(stream, self._portrait, traced))) if whole else None
        stream.begin(self._portrait, text)
        times = {"ready": ready - started, "captured": captured - ready, "first_step": first - captured}
        return stream, {name: round(1000 * spent, 3) for name, spent in times.items()}, error

    def _stream(self, generator: Generator, codec: VideoCodec, how: VideoConfig) -> VideoStream:
        from avatar_sdk.runtime.torch.video.stream import VideoStream
        from avatar_sdk.runtime.torch.video.warp import DeviceWarp

        size = self._size.resolution
        warp = DeviceWarp(size, codec.frame_channels, how.device)
        return VideoStream(generator, codec, size, how, self._part, source=warp)

    def _fill(self, stream: VideoStream) -> None:
        """Steps until the window is full."""
        from avatar_sdk.runtime.torch.video.fidelity import random_text

        stream.begin(self._portrait, random_text(stream))
        stream.advance(self._rest)
        for _ in range(self._size.generator.window):
            stream.advance(next(self._motions))

    def _flat_out(self, stream: VideoStream) -> dict[str, float]:
        """One step is always under way while the last one's frames are fetched."""
        self._fill(stream)
        stream.submit(next(self._motions))
        started = time.perf_counter()
        for _ in range(self._config.steps):
            stream.submit(next(self._motions))
            for _ in stream.fetch():
                pass
        spent = time.perf_counter() - started
        for _ in stream.fetch():
            pass
        return _rate(1000 * spent / self._config.steps)

    def _alone(self, stream: VideoStream, steps: int | None = None) -> dict[str, float]:
        """Each step by itself, until its first and its last frame are on the host."""
        spent: list[tuple[float, float]] = []
        for _ in range(steps or self._config.steps):
            motions = next(self._motions)
            started = time.perf_counter()
            stream.submit(motions)
            times = [time.perf_counter() - started for _ in stream.fetch()]
            spent.append((times[0], times[-1]))
        first, last = 1000 * np.array(spent).T
        return {
            name: round(float(value), 3)
            for name, value in (
                ("first_frame_p50", np.median(first)),
                ("p50", np.median(last)),
                ("p95", np.percentile(last, 95)),
            )
        }

    def _late(self, stream: VideoStream) -> dict[str, float]:
        """Steps at the first positions and at the last of some hours; those between are not made."""
        self._fill(stream)
        held, early = stream.step.rings.bytes, self._alone(stream)
        at = int(self._config.hours * 3600 * FPS / FRAMES)
        stream.skip_to(at)
        late = self._alone(stream)
        return {
            "at_latent": at,
            "first_p50_ms": early["p50"],
            "last_p50_ms": late["p50"],
            "change": round(late["p50"] / early["p50"] - 1, 4),
            "cache_bytes_change": stream.step.rings.bytes - held,
        }


def _rate(ms: float) -> dict[str, float]:
    return {"ms": round(ms, 3), "fps": round(1000 * FRAMES / ms, 2)}
