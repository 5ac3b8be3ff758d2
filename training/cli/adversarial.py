"""`training adversarial`: stage 3 of the generator."""

from __future__ import annotations

from dataclasses import replace
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
    lora: options.Lora = 0,
    recompute: options.Recompute = False,
    steps: options.Steps = 6000,
    minutes: options.Minutes = None,
    clips: options.StageClips = None,
    frames: options.Frames = None,
    rollout: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps the student walks, each a frame, or a latent; beyond the clip it runs forth and back. "
            "Default: 32, of video generators 8.",
            show_default=False,
        ),
    ] = None,
    segment: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps judged and kept in memory at once. Default: 16, of video generators 8.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Steps of a segment that end the one before. Default: 4, of video generators 2.",
            show_default=False,
        ),
    ] = None,
    discriminator: Annotated[
        Literal["causal", "bidirectional"], typer.Option(help="A logit per frame, or one per clip.")
    ] = "causal",
    recycle: Annotated[bool, typer.Option(help="Give each step the frame before it.")] = True,
    remember: Annotated[bool, typer.Option(help="Let each step see the cached frames before it.")] = True,
    teacher_forced: Annotated[
        bool, typer.Option("--teacher-forced", help="True frames instead of the student's own: drifts.")
    ] = False,
    lr: options.StageRate = None,
    judge_lr: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Learning rate of the discriminator. Default: 1e-4; --lr of video generators.",
            show_default=False,
        ),
    ] = None,
    game_weight: Annotated[float, typer.Option(min=0, help="Of the discriminator's opinion.")] = 0.1,
    penalty: Annotated[
        float | None,
        typer.Option(
            min=0, help="λ of the approximated R1 and R2. Default: 100; 1000 for video generators.", show_default=False
        ),
    ] = None,
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
    pixel_frames: Annotated[
        int, typer.Option(min=0, help="Frames decoded per segment; 0 = none. Of video generators none are.")
    ] = 3,
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

    from training.cli.opening import Case, VideoOptions, is_video, judge_of, open_stage, rate
    from training.data.batches import BatchConfig, Batches
    from training.discriminator import Discriminator
    from training.face_reader import FaceReader
    from training.ranks import joined
    from training.rollout import RolloutConfig
    from training.run import RunConfig
    from training.setting import choose_device, session
    from training.stages.adversarial import AdversarialConfig, AdversarialStage

    name, video = AdversarialStage.name, VideoOptions(lora=lora, recompute=recompute)
    case = Case(name, run, data, "adapt", (32, 4), init, frames, clips, seed, half, portable, video)
    public = is_video(case)
    usual = RolloutConfig(8, 8, 2) if public else RolloutConfig()
    walk = RolloutConfig(
        usual.frames if rollout is None else rollout,
        usual.segment if segment is None else segment,
        usual.overlap if overlap is None else overlap,
        recycle,
        remember,
    )
    case = replace(case, latents=min(walk.frames, walk.segment), game=game_weight > 0)
    pixel_frames = 0 if public else pixel_frames
    with joined(choose_device(device, threads)) as ranks:
        opened = open_stage(case, ranks)
        torch.manual_seed(seed)
        lr = lr if lr is not None else rate(opened, case, 1e-4)
        config = AdversarialConfig(
            frames=opened.frames,
            rollout=walk,
            discriminator=discriminator,
            teacher_forced=teacher_forced,
            lr=lr,
            judge_lr=judge_lr if judge_lr is not None else (lr if public else 1e-4),
            game_weight=game_weight,
            penalty=penalty if penalty is not None else (1000.0 if public else 100.0),
            latent_weight=latent_weight,
            pixel_weight=pixel_weight,
            stay_weight=stay_weight,
            harm_weight=harm_weight,
            texture_weight=texture_weight,
            motion_weight=motion_weight,
            reading_weight=reading_weight if pixel_frames else 0.0,
            likeness_weight=likeness_weight if pixel_frames else 0.0,
            pixel_frames=pixel_frames,
            parts=(*opened.parts, *(("decoder",) if train_decoder and not public else ())),
        )
        # Also where the game is off: the same run may turn it on later. Of a video generator it would cost too much.
        player = None
        if game_weight or not public:
            player = Discriminator(judge_of(case, judge, opened), discriminator)
        reader = FaceReader() if pixel_frames and (reading_weight or likeness_weight) else None
        stage = AdversarialStage(opened.model, player, config, ranks, reader)
        drawn = BatchConfig(clips=opened.clips, frames=opened.frames, seed=seed)
        batches = Batches(opened.shards, drawn, ranks.rank, ranks.size)
        run_config = RunConfig(steps, minutes, seed, device=ranks.device, half=half, **opened.run)
        result = session(stage, batches, run, run_config, opened.stages, portable, ranks)
    if ranks.lead:
        options.report(run, result)
