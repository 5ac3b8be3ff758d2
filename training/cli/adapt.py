"""`training adapt`: stage 1 of the generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training adapt --data data/heads --run runs/lite",
    "python -m training adapt --data data/heads --run runs/lite --minutes 25 --device cuda",
    "torchrun --nproc-per-node 8 -m -- training adapt --data data/heads --run runs/lite --clips 64",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("adapt", cls=AvatarCommand, epilog=EXAMPLES)(_adapt)


def _adapt(
    data: options.Data,
    run: options.Run = Path("runs/lite"),
    init: options.InitTrained = None,
    steps: options.Steps = 20000,
    minutes: options.Minutes = None,
    clips: options.Clips = 8,
    frames: options.Frames = 16,
    lr: options.LearningRate = 5e-4,
    shift: Annotated[float, typer.Option(min=1, help="How far times lean towards noise; 1 = not.")] = 3.0,
    forget: Annotated[float, typer.Option(min=0, max=1, help="Share of clips whose previous frames are hidden.")] = 0.5,
    portable: options.Portable = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    half: options.Half = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Stage 1: teach the generator to denoise a frame after the true ones before it."""
    from training.data.batches import BatchConfig, Batches
    from training.ranks import joined
    from training.run import RunConfig
    from training.setting import choose_device, initial_model, open_shards, restore, session
    from training.stages.adapt import AdaptConfig, AdaptStage

    with joined(choose_device(device, threads)) as ranks:
        restore(run, AdaptStage.name, portable, ranks)
        model, stages = initial_model(run, AdaptStage.name, init, None, seed, needs="codec", ranks=ranks)
        stage = AdaptStage(model, AdaptConfig(frames=frames, lr=lr, shift=shift, forget=forget), ranks)
        batches = Batches(open_shards(data), BatchConfig(clips=clips, frames=frames, seed=seed), ranks.rank, ranks.size)
        config = RunConfig(steps, minutes, seed, device=ranks.device, half=half)
        result = session(stage, batches, run, config, stages, portable, ranks)
    if ranks.lead:
        options.report(run, result)
