"""What a device is, what it holds, and how long its stages take."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import pairwise

import torch


def device_name(device: str) -> str:
    """For figures: the card and the CUDA that torch was built for, or "cpu" with the number of threads."""
    if torch.device(device).type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def peak_bytes(device: str) -> int | None:
    """The most memory that torch has held on the device; None on a CPU, where nobody counts."""
    return torch.cuda.max_memory_reserved(device) if torch.device(device).type == "cuda" else None


def free_bytes(device: str) -> int:
    """Memory of the device, or of the machine, that nobody holds."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


class StageClock:
    """Times stages on the device: by events on CUDA, without waiting for them before `spent_ms`."""

    def __init__(self, device: str) -> None:
        self._cuda = torch.device(device).type == "cuda"
        self._events: list[tuple[str, torch.cuda.Event]] = []
        self._times: list[tuple[str, int]] = []
        self.mark("")

    def mark(self, stage: str) -> None:
        """The stage's work has been given to the device."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._events.append((stage, event))
        else:
            self._times.append((stage, time.perf_counter_ns()))

    def spent_ms(self) -> dict[str, float]:
        """Stage → time since the mark before it; stages of one name add up."""
        spent: dict[str, float] = defaultdict(float)
        if self._cuda:
            self._events[-1][1].synchronize()
            for (_, before), (stage, event) in pairwise(self._events):
                spent[stage] += before.elapsed_time(event)
        for (_, start), (stage, end) in pairwise(self._times):
            spent[stage] += (end - start) / 1e6
        return dict(spent)
