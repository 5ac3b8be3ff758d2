"""What this machine is, for figures that mean something later."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "avatar-sdk",
    "grpcio",
    "mediapipe",
    "numba",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-contrib-python",
    "torch",
)


@dataclass(frozen=True)
class Machine:
    """Hardware and software in use.

    Attributes:
        cpu: the processor's name.
        cores: logical cores this process may use.
        memory_gib: installed memory.
        system: operating system and its version.
        python: version of the interpreter.
        packages: installed packages that matter for speed → version.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        import psutil

        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return cls(
            cpu=_cpu_name(),
            cores=len(allowed),
            memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
            system=platform.platform(terse=True),
            python=platform.python_version(),
            packages=installed(PACKAGES),
        )

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib:g} GiB, {self.system}, Python {self.python}\n{packages}"
        )


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Those of the packages that are installed, with their versions."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
