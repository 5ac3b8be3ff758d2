"""`training adversarial`: stage 3 of the generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training adversarial --data data/heads --run runs/lite",
    "python -m training adversarial --data data/heads --run runs/lite --steps 9000 --rollout 128",
    "python -m training adversarial --data data/heads --run runs/lite --discriminator bidirectional --no-recycle",
    "torchrun --nproc-per-node 8 -m -- training adversarial --data data/heads --run runs/lite --clips 64",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("adversarial", cls=AvatarCommand, epilog=EXAMPLES)(_adversarial)


def _adversarial(
    data: options.Data,
    run: options.Run = Path("runs/lite"),
    init: options.InitTrained = None,
    judge: Annotated[
        Path | None,
        typer.Option(help="Checkpoint the discriminator begins with. Default: what stage 1 left in the run."),
    ] = None,
    steps: options.Steps = 6000,
    minutes: options.Minutes = None,
    clips: options.Clips = 4,
    frames: options.Frames = 32,
    rollout: Annotated[
        int, typer.Option(min=1, help="Frames the student walks; beyond --frames the clip runs forth and back.")
    ] = 32,
    segment: Annotated[int, typer.Option(min=1, help="Frames judged and kept in memory at once.")] = 16,
    overlap: Annotated[int, typer.Option(min=0, help="Frames of a segment that end the one before.")] = 4,
    discriminator: Annotated[
        Literal["causal", "bidirectional"], typer.Option(help="A logit per frame, or one per clip.")
    ] = "causal",
    recycle: Annotated[bool, typer.Option(help="Give each step the frame before it.")] = True,
    remember: Annotated[bool, typer.Option(help="Let each step see the cached frames before it.")] = True,
    teacher_forced: Annotated[
        bool, typer.Option("--teacher-forced", help="True frames instead of the student's own: drifts.")
    ] = False,
    lr: options.LearningRate = 1e-4,
    judge_lr: Annotated[float, typer.Option(min=0, help="Learning rate of the discriminator.")] = 1e-4,
    game_weight: Annotated[float, typer.Option(min=0, help="Of the discriminator's opinion.")] = 0.1,
    penalty: Annotated[float, typer.Option(min=0, help="λ of the approximated R1 and R2.")] = 100.0,
    latent_weight: Annotated[float, typer.Option(min=0, help="Of paired latents.")] = 1.0,
    pixel_weight: Annotated[float, typer.Option(min=0, help="Of paired pictures.")] = 1.0,
    stay_weight: Annotated[float, typer.Option(min=0, help="Of changing the warp where it is right.")] = 0.5,
    harm_weight: Annotated[float, typer.Option(min=0, help="Of being further from the truth than the warp.")] = 0.5,
    texture_weight: Annotated[float, typer.Option(min=0, help="Of having as much detail as the truth.")] = 2.0,
    motion_weight: Annotated[float, typer.Option(min=0, help="Of changing from frame to frame as the truth.")] = 0.5,
    reading_weight: Annotated[
        float, typer.Option(min=0, help="Of lips, lids and irises where MediaPipe sees them in the truth.")
    ] = 8.0,
    likeness_weight: Annotated[float, typer.Option(min=0, help="Of the features by which MediaPipe sees them.")] = 0.2,
    pixel_frames: Annotated[int, typer.Option(min=0, help="Frames decoded per segment; 0 = none.")] = 3,
    train_decoder: Annotated[
        bool, typer.Option("--train-decoder", help="Let the decoder learn from the pictures too.")
    ] = False,
    portable: options.Portable = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    half: options.Half = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Stage 3: let the student walk on from its own frames until one cannot tell them from true ones.

    Longer rollouts may follow shorter ones: the same command goes on with another --rollout.
    """
    import torch

    from training.data.batches import BatchConfig, Batches
    from training.discriminator import Discriminator
    from training.face_reader import FaceReader
    from training.ranks import joined
    from training.rollout import RolloutConfig
    from training.run import RunConfig
    from training.setting import choose_device, initial_model, judge_model, open_shards, restore, session
    from training.stages.adversarial import AdversarialConfig, AdversarialStage

    with joined(choose_device(device, threads)) as ranks:
        walk = RolloutConfig(rollout, segment, overlap, recycle, remember)
        restore(run, AdversarialStage.name, portable, ranks)
        model, stages = initial_model(run, AdversarialStage.name, init, None, seed, needs="adapt", ranks=ranks)
        torch.manual_seed(seed)
        config = AdversarialConfig(
            frames=frames,
            rollout=walk,
            discriminator=discriminator,
            teacher_forced=teacher_forced,
            lr=lr,
            judge_lr=judge_lr,
            game_weight=game_weight,
            penalty=penalty,
            latent_weight=latent_weight,
            pixel_weight=pixel_weight,
            stay_weight=stay_weight,
            harm_weight=harm_weight,
            texture_weight=texture_weight,
            motion_weight=motion_weight,
            reading_weight=reading_weight,
            likeness_weight=likeness_weight,
            pixel_frames=pixel_frames,
            parts=("conditioner", "generator", *(("decoder",) if train_decoder else ())),
        )
        # Also where the game is off: the same run may turn it on later.
        player = Discriminator(judge_model(run, judge, model), discriminator)
        reader = FaceReader() if pixel_frames and (reading_weight or likeness_weight) else None
        stage = AdversarialStage(model, player, config, ranks, reader)
        batches = Batches(open_shards(data), BatchConfig(clips=clips, frames=frames, seed=seed), ranks.rank, ranks.size)
        run_config = RunConfig(steps, minutes, seed, device=ranks.device, half=half)
        result = session(stage, batches, run, run_config, stages, portable, ranks)
    if ranks.lead:
        options.report(run, result)
