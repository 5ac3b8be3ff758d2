"""How fast this machine is: every stage alone, the engine flat out, and the service at its own pace.

Nothing here asserts; the figures are for people and for `docs/benchmarks.md`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from avatar_client.errors import InvalidConfigError, InvalidVideoError

from avatar_sdk.bench.engine import Unpaced, run_unpaced
from avatar_sdk.bench.service import Paced, run_paced
from avatar_sdk.local_server import LocalServer, LocalServerConfig
from avatar_sdk.machine import Machine

__all__ = ["Bench", "BenchConfig", "Paced", "Unpaced", "run_bench"]


@dataclass(frozen=True)
class BenchConfig:
    """What is measured.

    Attributes:
        model: "lite", "warp" or the path of an exported checkpoint.
        seconds: length of the paced run. Unit: seconds.
        unpaced_seconds: length of the unpaced run. Unit: seconds.
        pose_rate_hz: poses a second in the paced run, as a webcam gives them.
        busy_core: whether another process keeps one core busy meanwhile.
    """

    model: str = "lite"
    seconds: float = 60.0
    unpaced_seconds: float = 10.0
    pose_rate_hz: float = 30.0
    busy_core: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidConfigError for a length or rate out of range."""
        for name, low, high in (("seconds", 2, 86_400), ("unpaced_seconds", 1, 3600), ("pose_rate_hz", 1, 240)):
            if not low <= getattr(self, name) <= high:
                raise InvalidConfigError(f"{name} is {getattr(self, name):g}; it must be in [{low}, {high}]")


@dataclass(frozen=True)
class Bench:
    """What was measured.

    Attributes:
        machine: where.
        config: how.
        stages_ms: stage → median time per frame, alone on one thread. Unit: milliseconds.
        unpaced: the engine flat out.
        paced: the service in real time.
    """

    machine: Machine
    config: BenchConfig
    stages_ms: dict[str, float]
    unpaced: Unpaced
    paced: Paced

    def save(self, path: Path) -> None:
        """Writes everything as JSON.

        Raises:
            InvalidVideoError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        except OSError as error:
            raise InvalidVideoError(f"the figures {path} cannot be written: {error.strerror}") from error


def run_bench(config: BenchConfig, say: Callable[[str], None]) -> Bench:
    """Measures everything; `say` is told what is going on and what came out.

    Raises:
        AvatarError: the model cannot be loaded or the service cannot be started.
    """
    machine = Machine.here()
    say(str(machine))
    with busy_core() if config.busy_core else nullcontext():
        if config.busy_core:
            say("another process keeps one core busy")
        say(f"\nmodel {config.model}: stages one after another, then {config.unpaced_seconds:g} s flat out …")
        stages_ms, unpaced = run_unpaced(config.model, config.unpaced_seconds)
        say("\n".join(f"  {stage:<10} {spent:7.2f} ms" for stage, spent in stages_ms.items()))
        say(f"  unpaced    {unpaced.fps:7.2f} frames/s (two threads, without tracking)")
        say(f"\n{config.seconds:g} s through gRPC at {config.pose_rate_hz:g} poses/s …")
        with LocalServer(LocalServerConfig(model=config.model)) as server:
            paced = run_paced(server, config.seconds, config.pose_rate_hz, say)
        say(str(paced))
    return Bench(machine, config, stages_ms, unpaced, paced)


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that computes without a break."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
