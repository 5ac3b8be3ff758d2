"""`training adapt`: stage 1 of the generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training adapt --data data/heads --run runs/lite",
    "python -m training adapt --data data/heads --run runs/lite --minutes 25 --device cuda",
    "python -m training adapt --preset wan-1.3b --init wan.safetensors --codec taew2_1.safetensors \\\n"
    "      --data data/pictures --run runs/wan --lora 32 --recompute",
    "torchrun --nproc-per-node 8 -m -- training adapt --data data/heads --run runs/lite --clips 64",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("adapt", cls=AvatarCommand, epilog=EXAMPLES)(_adapt)


def _adapt(
    data: options.Data,
    run: options.Run = Path("runs/lite"),
    init: options.InitTrained = None,
    preset: Annotated[
        str | None, typer.Option(help="Adapt a video generator, and refuse any other size than this preset's.")
    ] = None,
    codec: Annotated[
        Path | None, typer.Option(help="A video generator's codec, as imported. Default: the run's.")
    ] = None,
    text_embedding: Annotated[
        Path | None, typer.Option(help="A video generator's prompt, from encode-text. Default: the run's, or no words.")
    ] = None,
    condition: Annotated[
        Literal["stem", "maps", "codec"],
        typer.Option(
            help="By what a video generator reads the warp: a stem that learns, also from pose maps, or its codec."
        ),
    ] = "stem",
    window: Annotated[
        int | None, typer.Option(min=1, help="Past latents that a video generator sees. Default: its own.")
    ] = None,
    lora: options.Lora = 0,
    recompute: options.Recompute = False,
    steps: options.Steps = 20000,
    minutes: options.Minutes = None,
    clips: options.StageClips = None,
    frames: options.Frames = None,
    lr: options.StageRate = None,
    shift: options.Shift = None,
    forget: Annotated[float, typer.Option(min=0, max=1, help="Share of clips whose previous frames are hidden.")] = 0.5,
    portable: options.Portable = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    half: options.Half = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Stage 1: teach the generator to denoise a frame after the true ones before it.

    It is our own small one, or a public video generator: give --init, --codec and clips of whole pictures.
    """
    from training.cli.opening import SHIFT as VIDEO_SHIFT
    from training.cli.opening import Case, VideoOptions, open_stage, rate
    from training.data.batches import BatchConfig, Batches
    from training.ranks import joined
    from training.run import RunConfig
    from training.schedule import SHIFT
    from training.setting import choose_device, session
    from training.stages.adapt import AdaptConfig, AdaptStage

    video = VideoOptions(preset, codec, text_embedding, condition, window, lora, recompute)
    case = Case(AdaptStage.name, run, data, "codec", (16, 8), init, frames, clips, seed, half, portable, video)
    with joined(choose_device(device, threads)) as ranks:
        opened = open_stage(case, ranks)
        config = AdaptConfig(
            frames=opened.frames,
            lr=lr if lr is not None else rate(opened, case, 5e-4),
            shift=shift or (VIDEO_SHIFT if opened.is_video else SHIFT),
            forget=forget,
            parts=opened.parts,
        )
        stage = AdaptStage(opened.model, config, ranks)
        drawn = BatchConfig(clips=opened.clips, frames=opened.frames, seed=seed)
        batches = Batches(opened.shards, drawn, ranks.rank, ranks.size)
        run_config = RunConfig(steps, minutes, seed, device=ranks.device, half=half, **opened.run)
        result = session(stage, batches, run, run_config, opened.stages, portable, ranks)
    if ranks.lead:
        options.report(run, result)
