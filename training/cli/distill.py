"""`training distill`: stage 2 of the generator."""

from __future__ import annotations

from pathlib import Path

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
    lora: options.Lora = 0,
    recompute: options.Recompute = False,
    steps: options.Steps = 10000,
    minutes: options.Minutes = None,
    clips: options.StageClips = None,
    frames: options.Frames = None,
    lr: options.StageRate = None,
    shift: options.Shift = None,
    portable: options.Portable = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    half: options.Half = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Stage 2: teach the generator to arrive in one step. Blurred, but a good beginning for stage 3."""
    from training.cli.opening import SHIFT as VIDEO_SHIFT
    from training.cli.opening import Case, VideoOptions, open_stage, rate
    from training.data.batches import BatchConfig, Batches
    from training.ranks import joined
    from training.run import RunConfig
    from training.schedule import SHIFT
    from training.setting import choose_device, session
    from training.stages.distill import DistillConfig, DistillStage

    video = VideoOptions(lora=lora, recompute=recompute)
    case = Case(DistillStage.name, run, data, "adapt", (16, 8), init, frames, clips, seed, half, portable, video)
    with joined(choose_device(device, threads)) as ranks:
        opened = open_stage(case, ranks)
        config = DistillConfig(
            frames=opened.frames,
            lr=lr if lr is not None else rate(opened, case, 2e-4),
            shift=shift or (VIDEO_SHIFT if opened.is_video else SHIFT),
            parts=opened.parts,
        )
        stage = DistillStage(opened.model, config, ranks)
        drawn = BatchConfig(clips=opened.clips, frames=opened.frames, seed=seed)
        batches = Batches(opened.shards, drawn, ranks.rank, ranks.size)
        run_config = RunConfig(steps, minutes, seed, device=ranks.device, half=half, **opened.run)
        result = session(stage, batches, run, run_config, opened.stages, portable, ranks)
    if ranks.lead:
        options.report(run, result)
