"""`training distill`: stage 2 of the generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training distill --data data/heads --run runs/lite",
    "python -m training distill --data data/heads --run runs/lite --minutes 25 --device cuda",
    "torchrun --nproc-per-node 8 -m -- training distill --data data/heads --run runs/lite --clips 64",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("distill", cls=AvatarCommand, epilog=EXAMPLES)(_distill)


def _distill(
    data: options.Data,
    run: options.Run = Path("runs/lite"),
    init: options.InitTrained = None,
    steps: options.Steps = 10000,
    minutes: options.Minutes = None,
    clips: options.Clips = 8,
    frames: options.Frames = 16,
    lr: options.LearningRate = 2e-4,
    shift: Annotated[float, typer.Option(min=1, help="How far times lean towards noise; 1 = not.")] = 3.0,
    portable: options.Portable = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    half: options.Half = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Stage 2: teach the generator to arrive in one step. Blurred, but a good beginning for stage 3."""
    from training.data.batches import BatchConfig, Batches
    from training.ranks import joined
    from training.run import RunConfig
    from training.setting import choose_device, initial_model, open_shards, restore, session
    from training.stages.distill import DistillConfig, DistillStage

    with joined(choose_device(device, threads)) as ranks:
        restore(run, DistillStage.name, portable, ranks)
        model, stages = initial_model(run, DistillStage.name, init, None, seed, needs="adapt", ranks=ranks)
        stage = DistillStage(model, DistillConfig(frames=frames, lr=lr, shift=shift), ranks)
        batches = Batches(open_shards(data), BatchConfig(clips=clips, frames=frames, seed=seed), ranks.rank, ranks.size)
        config = RunConfig(steps, minutes, seed, device=ranks.device, half=half)
        result = session(stage, batches, run, config, stages, portable, ranks)
    if ranks.lead:
        options.report(run, result)
