"""The one loop that runs every stage: data, time, disk, and nothing about losses.

A run folder holds `model.safetensors`, the product of the last stage, and one folder per stage with its state, from
which the same command goes on, and `log.jsonl`, its curve.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from avatar_sdk.model import checkpoint
from training.data.batches import Batch
from training.draws import Draws
from training.errors import DataError, DivergedError, OutOfMemoryError
from training.interruption import stop_signals
from training.ranks import ALONE, Ranks
from training.stages.stage import Stage
from training.state import Origin, Progress, load_state, save_state, way_out
from training.video.files import CODEC, save_product
from training.video.student import VideoProduct

MODEL: Final = "model.safetensors"
LOG: Final = "log.jsonl"
NEVER: Final = 2**62


class BatchSource(Protocol):
    """Where batches come from: a function of the step."""

    def stream(self, first: int) -> Iterator[Batch]:
        """The batches of steps `first`, `first + 1`, …."""


@dataclass(frozen=True)
class RunConfig:
    """How long a stage runs and how often it is saved.

    Attributes:
        steps: in all, earlier sessions included.
        minutes: stop after so long in this session; None = when all steps are done.
        seed: of everything random that is not a batch.
        log_every: steps between two lines of the curve.
        save_every_s: seconds between two saved states.
        device: "cpu", "cuda" or "cuda:1".
        half: whether to compute in bfloat16; weights and optimisers stay in float32. None = on CUDA only: few CPUs
            gain by it.
        warm_up: steps in which the learning rate rises to what the stage's optimisers ask for.
    """

    steps: int
    minutes: float | None = None
    seed: int = 0
    log_every: int = 10
    save_every_s: float = 120.0
    device: str = "cpu"
    half: bool | None = None
    warm_up: int = 50


@dataclass(frozen=True)
class RunResult:
    """Where a session of a stage has ended.

    Attributes:
        step: steps done in all.
        metrics: of the last logged step of this session; empty when nothing was left to do.
        finished: whether all steps are done.
        interrupted: whether a signal ended it.
    """

    step: int
    metrics: Mapping[str, float]
    finished: bool
    interrupted: bool


def train(
    stage: Stage,
    batches: BatchSource,
    folder: Path,
    config: RunConfig,
    stages: tuple[str, ...] = (),
    ranks: Ranks = ALONE,
) -> RunResult:
    """Runs a stage, from where an earlier session stopped if there was one.

    SIGTERM and Ctrl-C end it after the current step, of all ranks if one is told; the state is written.

    Args:
        stage: what to run; its networks and optimisers are mutated.
        batches: the data.
        folder: of the run.
        config: how long.
        stages: what the initial model has been through; this stage is added to it.
        ranks: who train together, each with its own part of every batch.

    Raises:
        DivergedError: the loss is no longer a number; the last saved state is good.
        OutOfMemoryError: the device is too small.
        DataError: the saved state belongs to another seed or network, or the disk is full.
        RankError: another rank has failed.
    """
    place = folder / stage.name
    place.mkdir(parents=True, exist_ok=True)
    for module in (stage.model, *stage.networks.values()):
        module.to(config.device)
    origin = Origin(config.seed, stage.model.config.to_dict(), stages)
    rng = Draws(config.device, ranks.rank, ranks.size).manual_seed(config.seed)
    torch.manual_seed(config.seed)
    rates = [(group, group["lr"]) for optimiser in stage.optimisers.values() for group in optimiser.param_groups]
    before = load_state(stage, place, origin, config.device, rng, ranks)
    step, last, began = before.step, dict[str, float](), time.monotonic()
    deadline = math.inf if config.minutes is None else began + 60 * config.minutes
    watch = _Watch(config.device, ranks)

    def save() -> None:
        watch.check(stage.name, place)
        seconds = before.seconds + time.monotonic() - began
        save_state(stage, place, origin, Progress(step, seconds, before.warm_from), rng, ranks)
        _save_product(stage, folder, (*(s for s in stages if s != stage.name), stage.name), ranks)

    def agree() -> tuple[bool, ...]:
        now = time.monotonic()
        return ranks.any(bool(stop), now >= deadline, now - saved > config.save_every_s)

    saved = began
    with (
        stop_signals() as stop,
        _bar(stage.name, config.steps, step, ranks.lead) as show,
        _curve(place / LOG, step, ranks.lead) as log,
        _stream(batches, step) as stream,
    ):
        interrupted, late, _ = agree()
        while step < config.steps and not interrupted and not late:
            batch = next(stream).to(config.device)
            warmth = min(1.0, (step + 1 - before.warm_from) / max(1, config.warm_up))
            for group, rate in rates:
                group["lr"] = rate * warmth
            with _fitting(batch), _mixed(config):
                metrics = stage.step(batch, step, rng)
            step += 1
            watch.see(step, metrics)
            if step == 1 or step % config.log_every == 0 or step == config.steps:
                watch.check(stage.name, place)
                last = ranks.means(metrics)
                log(step, before.seconds + time.monotonic() - began, last)
            show(step, last.get("loss"))
            interrupted, late, due = agree()
            if due:
                save()
                saved = time.monotonic()
        if step > before.step:
            save()
    return RunResult(step, last, step >= config.steps, interrupted)


@contextmanager
def _stream(batches: BatchSource, first: int) -> Iterator[Iterator[Batch]]:
    """Batches, and no reader left behind afterwards."""
    stream = batches.stream(first)
    try:
        yield stream
    finally:
        if isinstance(stream, Generator):
            stream.close()


def _save_product(stage: Stage, folder: Path, stages: tuple[str, ...], ranks: Ranks) -> None:
    fresh, product = folder / (MODEL + ".new"), stage.product()

    def write() -> None:
        try:
            if isinstance(product, VideoProduct):
                save_product(product, folder / MODEL, folder / stage.name / CODEC, stages)
            else:
                checkpoint.save(fresh, product, stages)
                fresh.replace(folder / MODEL)
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error}; free some space and run the same command") from error

    ranks.together(write if ranks.lead else lambda: None)


class _Watch:
    """Remembers the first step whose loss was not a number, without waiting for the device at every step."""

    def __init__(self, device: str, ranks: Ranks) -> None:
        self._bad = torch.full((), NEVER, dtype=torch.int64, device=device)
        self._ranks = ranks

    def see(self, step: int, metrics: Mapping[str, Tensor]) -> None:
        """Notes the step if its loss is not finite."""
        bad = ~torch.isfinite(torch.as_tensor(metrics["loss"], device=self._bad.device))
        self._bad = torch.where((self._bad == NEVER) & bad, step, self._bad)

    def check(self, name: str, place: Path) -> None:
        """Raises DivergedError if there was one, on any rank."""
        if (step := self._ranks.least(int(self._bad))) < NEVER:
            raise DivergedError(f"{name} diverged: the loss of step {step} is not a number; {way_out(place)}")


@contextmanager
def _curve(path: Path, step: int, lead: bool) -> Iterator[Callable[[int, float, Mapping[str, float]], None]]:
    """Adds lines to the log, if `lead`. Drops those after `step`: a session may have logged more than it saved."""
    if not lead:
        yield lambda *_: None
        return
    if path.is_file():
        lines = [line for line in path.read_text().splitlines() if line and json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in lines))
    with path.open("a") as file:

        def write(step: int, seconds: float, values: Mapping[str, float]) -> None:
            file.write(json.dumps({"step": step, "seconds": round(seconds, 2), **values}) + "\n")
            file.flush()

        yield write


def _mixed(config: RunConfig) -> torch.autocast:
    kind = config.device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda" if config.half is None else config.half)


@contextmanager
def _fitting(batch: Batch) -> Iterator[None]:
    """Says what would fit when the device is full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        clips, frames = batch.truth_BFCHW.shape[:2]
        smaller = f"--clips {clips // 2}" if clips > 1 else f"--frames {max(1, frames // 2)}"
        raise OutOfMemoryError(f"{clips} clips of {frames} frames do not fit on the device; {smaller} may") from error


@contextmanager
def _bar(name: str, total: int, first: int, lead: bool) -> Iterator[Callable[[int, float | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = (TextColumn("{task.fields[loss]}"), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        TextColumn(name),
        BarColumn(),
        MofNCompleteColumn(),
        *shown,
        console=console,
        disable=not (lead and console.is_terminal),
    ) as bar:
        task: Any = bar.add_task("", total=total, completed=first, loss="", rate="")

        def show(step: int, loss: float | None) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.2f} steps/s" if speed else ""
            bar.update(task, completed=step, loss="" if loss is None else f"loss {loss:.4f}", rate=rate)

        yield show
