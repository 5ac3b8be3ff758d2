"""`training codec`: the encoder and the decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training codec --data data/heads --run runs/lite --steps 20000",
    "python -m training codec --data data/heads --run runs/lite --steps 26000 --adversarial-from 20000",
    "torchrun --nproc-per-node 8 -m -- training codec --data data/heads --run runs/lite --clips 64",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("codec", cls=AvatarCommand, epilog=EXAMPLES)(_codec)


def _codec(
    data: options.Data,
    run: options.Run = Path("runs/lite"),
    init: options.Init = None,
    preset: options.Preset = "lite",
    steps: options.Steps = 20000,
    minutes: options.Minutes = None,
    clips: options.Clips = 8,
    lr: options.LearningRate = 5e-4,
    window_px: Annotated[int, typer.Option(min=32, help="Side of the trained window; a multiple of 32.")] = 128,
    adversarial_from: Annotated[int | None, typer.Option(help="Step from which a discriminator plays.")] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    half: options.Half = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Train the codec: what the warp gets wrong, into a small latent and back."""
    from training.data.batches import BatchConfig, Batches
    from training.ranks import joined
    from training.run import RunConfig, train
    from training.setting import choose_device, initial_model, open_shards
    from training.stages.codec import CodecStage, CodecStageConfig

    with joined(choose_device(device, threads)) as ranks:
        model, stages = initial_model(run, CodecStage.name, init, preset, seed, ranks=ranks)
        stage = CodecStage(
            model, CodecStageConfig(lr=lr, window_px=window_px, adversarial_from=adversarial_from), ranks
        )
        batches = Batches(
            open_shards(data), BatchConfig(clips=clips, frames=CodecStage.frames, seed=seed), ranks.rank, ranks.size
        )
        # A decoder that overshoots in its first steps may shut for good.
        config = RunConfig(steps, minutes, seed, device=ranks.device, half=half, warm_up=200)
        result = train(stage, batches, run, config, stages, ranks)
    if ranks.lead:
        options.report(run, result)
