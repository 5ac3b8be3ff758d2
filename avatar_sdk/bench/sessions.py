"""How many sessions one device carries: ever more of them stepped together, until 24 frames a second break."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from avatar_client.errors import InvalidConfigError, InvalidVideoError, MissingDependencyError

from avatar_sdk.bench.motions import sample_motions
from avatar_sdk.encode import JpegEncoder
from avatar_sdk.machine import Machine
from avatar_sdk.model.checkpoint import WEIGHTS
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import PortraitConfig, load_portrait
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT
from avatar_sdk.runtime import model_folder

if TYPE_CHECKING:
    from avatar_sdk.runtime.torch.batch import BatchRuntime, Seat

FPS: Final = 24
ENGINE_MS: Final = 50.0
"""95 % of the ticks must take no longer."""
WARM_UP: Final = 3
STAGE_TICKS: Final = 10
LOOP: Final = 96
"""Motions that every session goes through, each from another one on."""


@dataclass(frozen=True)
class SessionsConfig:
    """What is measured.

    Attributes:
        counts: sessions at once, increasing.
        device: "cpu" or "cuda".
        model: "lite" or the folder of an exported checkpoint.
        preset: random weights of this size instead; "" = the model's own.
        seconds: length of each run. Unit: seconds.
        side_px: width and height of every session's output.
        precision: of the network's products, "float32" or "bfloat16".
    """

    counts: tuple[int, ...]
    device: str = "cpu"
    model: str = "lite"
    preset: str = ""
    seconds: float = 10.0
    side_px: int = 512
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for counts or a length out of range."""
        if not self.counts or any(b <= a for a, b in pairwise((0, *self.counts))):
            raise InvalidConfigError(
                f"sessions is {list(self.counts)}; it must be increasing numbers from 1, as 1,2,4", field="sessions"
            )
        if self.model == "warp":
            raise InvalidConfigError(
                "sessions are batched with a network; use --model lite or an exported one", field="model"
            )
        if not 0.1 <= self.seconds <= 3600:
            raise InvalidConfigError(f"seconds is {self.seconds:g}; it must be in [0.1, 3600]", field="seconds")


@dataclass(frozen=True)
class SessionsRow:
    """One number of sessions.

    Attributes:
        sessions: how many.
        bucket: rows that a tick computes for them.
        ticks: how many were measured.
        fps: frames a second of each session, tick after tick, inputs written and pictures fetched.
        engine_ms: from the first byte uploaded to the last picture on the host: warp, generator, decode, composite.
        host_ms: median time beside it, in which inputs are written.
        stages_ms: stage → median time, stages run one by one.
        encode_ms: median time for all pictures of a tick as JPEG on all cores.
        memory_mib: the most that torch held on the device; None on a CPU.
        holds: whether 24 frames a second and 50 ms were kept.
    """

    sessions: int
    bucket: int
    ticks: int
    fps: float
    engine_ms: dict[str, float]
    host_ms: float
    stages_ms: dict[str, float]
    encode_ms: float
    memory_mib: float | None
    holds: bool

    HEAD: ClassVar = (
        "  sessions   fps each   engine p50   p95 ms   host   warp  generator  decode  composite   JPEG ms   MiB"
    )

    def __str__(self) -> str:
        stages = self.stages_ms
        memory = "–" if self.memory_mib is None else f"{self.memory_mib:.0f}"
        return (
            f"  {self.sessions:>8} {self.fps:>10.1f} {self.engine_ms['p50']:>12.1f} {self.engine_ms['p95']:>8.1f}"
            f" {self.host_ms:>6.1f} {stages['warp']:>6.1f} {stages['generator']:>10.1f} {stages['decode']:>7.1f}"
            f" {stages['composite']:>10.1f} {self.encode_ms:>9.1f} {memory:>5}"
            + ("" if self.holds else f"   below {FPS} fps or above {ENGINE_MS:g} ms")
        )


@dataclass(frozen=True)
class SessionsBench:
    """What was measured.

    Attributes:
        machine: where; `device` on it.
        config: how.
        weights: whose: a checkpoint's name, or that they are random.
        attention: the chosen kernel; `attention_us` are those that were asked.
        start_s: time to load, choose and capture.
        rows: one per number of sessions.
        carried: the most sessions that kept 24 frames a second and 50 ms.
    """

    machine: Machine
    device: str
    config: SessionsConfig
    weights: str
    attention: str
    attention_us: dict[str, float]
    start_s: float
    rows: tuple[SessionsRow, ...]
    carried: int

    def save(self, path: Path) -> list[Path]:
        """Writes everything as JSON, and beside it a plot if matplotlib is installed; returns the files.

        Raises:
            InvalidVideoError: a file cannot be written.
        """
        plot = path.with_suffix(".png")
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")
            if not find_spec("matplotlib"):
                return [path]
            self._plot(plot)
        except OSError as error:
            raise InvalidVideoError(f"the figures {path} cannot be written: {error.strerror}") from error
        return [path, plot]

    def _plot(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        counts = [row.sessions for row in self.rows]
        for name in ("p50", "p95"):
            axes.plot(counts, [row.engine_ms[name] for row in self.rows], marker="o", label=f"engine {name}")
        axes.axhline(ENGINE_MS, color="grey", linestyle="--", label=f"{ENGINE_MS:g} ms")
        axes.set(xlabel="sessions", ylabel="ms per tick", title=f"{self.weights}, {self.device}")
        axes.legend()
        figure.savefig(path)


def run_sessions(config: SessionsConfig, say: Callable[[str], None]) -> SessionsBench:
    """Measures one number of sessions after another, up to the first that is too many.

    Raises:
        InvalidConfigError: the model or the device cannot be used.
        MissingDependencyError: torch or the device is not there.
    """
    if not find_spec("torch"):
        raise MissingDependencyError("torch is not installed; install avatar-sdk[train] or avatar-sdk[gpu]")
    from avatar_sdk.runtime.torch.batch import BatchRuntime
    from avatar_sdk.runtime.torch.config import BatchConfig, check_device
    from avatar_sdk.runtime.torch.device import device_name

    check_device(config.device)
    machine, device = Machine.here(), device_name(config.device)
    say(f"{machine}\n{device}")
    batch = BatchConfig(config.counts[-1], config.device, config.side_px, config.side_px, precision=config.precision)
    started = time.perf_counter()
    if config.preset:
        runtime, weights = BatchRuntime.untrained(config.preset, batch), f"{config.preset}, random weights"
    else:
        runtime = BatchRuntime.load(model_folder(config.model) / WEIGHTS, batch)
        weights = runtime.name
    start_s = time.perf_counter() - started
    asked = ", ".join(f"{name} {spent:g} µs" for name, spent in runtime.attention.measured_us.items())
    say(f"\n{weights}, {config.side_px}×{config.side_px}, {config.precision}, ready after {start_s:.1f} s")
    say(f"attention {runtime.attention.name}" + (f" ({asked})" if asked else ""))
    say(f"{config.seconds:g} s each; motion is computed beforehand\n{SessionsRow.HEAD}")
    rows: list[SessionsRow] = []
    with ThreadPoolExecutor(machine.cores) as encoders:
        ramp = _Ramp(runtime, config, encoders)
        for count in config.counts:
            rows.append(ramp.measure(count))
            say(str(rows[-1]))
            if not rows[-1].holds:
                break
    carried = max((row.sessions for row in rows if row.holds), default=0)
    say(f"\n{carried} sessions at {FPS} frames/s with 95 % of the ticks within {ENGINE_MS:g} ms")
    attention = runtime.attention
    return SessionsBench(
        machine, device, config, weights, attention.name, attention.measured_us, round(start_s, 2), tuple(rows), carried
    )


class _Ramp:
    """The sessions of a run; they stay while others join."""

    def __init__(self, runtime: BatchRuntime, config: SessionsConfig, encoders: ThreadPoolExecutor) -> None:
        self._runtime, self._config, self._encoders = runtime, config, encoders
        self._portrait = load_portrait(SAMPLE_PORTRAIT, PortraitConfig(config.side_px, config.side_px))
        self._motions = sample_motions(self._portrait, LOOP)
        self._seats: list[Seat] = []
        self._tick = 0

    def measure(self, count: int) -> SessionsRow:
        """Ticks with this many sessions."""
        from avatar_sdk.runtime.torch.device import StageClock, peak_bytes

        while len(self._seats) < count:
            self._seats.append(self._runtime.open(self._portrait, seed=len(self._seats)))
        for _ in range(WARM_UP):
            self._runtime.tick(self._next())
        engine_us: list[int] = []
        whole_us: list[float] = []
        end = time.perf_counter() + self._config.seconds
        while not engine_us or time.perf_counter() < end:
            motions = self._next()
            started = time.perf_counter_ns()
            tick = self._runtime.tick(motions)
            whole_us.append((time.perf_counter_ns() - started) / 1000)
            engine_us.append(tick.engine_us)
        spent: dict[str, list[float]] = defaultdict(list)
        for _ in range(min(STAGE_TICKS, len(engine_us))):
            clock = StageClock(self._config.device)
            tick = self._runtime.tick(self._next(), clock.mark)
            for stage, stage_ms in clock.spent_ms().items():
                spent[stage].append(stage_ms)
            started = time.perf_counter_ns()
            list(self._encoders.map(lambda image: JpegEncoder().encode(image), tick.images.values()))
            spent["encode"].append((time.perf_counter_ns() - started) / 1e6)
        stages_ms = {stage: round(float(np.median(values)), 2) for stage, values in spent.items()}
        p50, p95 = np.percentile(engine_us, (50, 95)) / 1000
        fps = 1e6 / float(np.mean(whole_us))
        peak = peak_bytes(self._config.device)
        return SessionsRow(
            sessions=count,
            bucket=next(size for size in self._runtime.config.buckets if size >= count),
            ticks=len(engine_us),
            fps=round(fps, 2),
            engine_ms={"p50": round(float(p50), 2), "p95": round(float(p95), 2)},
            host_ms=round(float(np.median(np.array(whole_us) - engine_us)) / 1000, 2),
            encode_ms=stages_ms.pop("encode"),
            stages_ms=stages_ms,
            memory_mib=None if peak is None else round(peak / 2**20, 1),
            holds=fps >= FPS and bool(p95 <= ENGINE_MS),
        )

    def _next(self) -> dict[Seat, Motion]:
        """Every session's next motion; no two are at the same one unless there are many."""
        self._tick += 1
        return {seat: self._motions[(self._tick + 7 * k) % LOOP] for k, seat in enumerate(self._seats)}
