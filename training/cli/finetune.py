"""`training finetune`: my own avatar in twenty minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training finetune me.mp4 --run runs/me",
    "python -m training finetune me.mp4 --run runs/me --minutes 60   (goes on)",
    "python -m training finetune me/ --run runs/me --model runs/lite/model.safetensors --device cuda",
    "python -m training finetune me.mp4 --run runs/me --portrait me.jpg",
    "python -m training finetune me.mp4 --run runs/me --parts decoder --parts generator.head",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("finetune", cls=AvatarCommand, epilog=EXAMPLES)(_finetune)


def _finetune(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIPS...", help="Videos of one person, or folders of them.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of the run; the same command goes on in it.")],
    model: Annotated[
        str, typer.Option(help="What to begin with: **lite**, an exported folder, or a checkpoint (.safetensors).")
    ] = "lite",
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Of training in this session; preparing and judging come on top.")
    ] = 20.0,
    portrait: Annotated[
        Path | None,
        typer.Option(help="Photo of the same person that will be the avatar's. Default: frames of the clips."),
    ] = None,
    steps: options.Steps = 20_000,
    held_out: Annotated[float, typer.Option(help="Share at the end of each clip that is kept for the test.")] = 0.2,
    parts: Annotated[
        list[str] | None,
        typer.Option(help="Module that learns, e.g. generator.head; may be given more than once. Default: by device."),
    ] = None,
    lr: options.LearningRate = 1e-4,
    batch: Annotated[int, typer.Option(min=1, help="Clips per batch.")] = 2,
    frames: Annotated[int, typer.Option(min=2, max=255, help="That the student walks.")] = 16,
    step: Annotated[int, typer.Option(min=1, help="Measure every so many frames.")] = 3,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Let a trained model learn one person from a clip.

    The clip is prepared, its end held out; the model goes on from its own frames, without a discriminator, at a small
    learning rate. In the end it is compared on the held-out part with what it was before, and with the warp. Whether
    it became better stands in the table: keep the old model if it did not.
    """
    from rich.console import Console

    from training.finetune.comparison import ComparisonConfig
    from training.finetune.finetuning import FinetuneConfig, finetune
    from training.run import MODEL, RunConfig
    from training.setting import choose_device

    where = choose_device(device, threads)
    config = FinetuneConfig(
        model=model,
        held_out=held_out,
        parts=tuple(parts or ()),
        lr=lr,
        clips=batch,
        frames=frames,
        comparison=ComparisonConfig(step=step),
    )
    training = RunConfig(steps, minutes, seed, save_every_s=60.0, device=where)
    done = finetune(clips, run, config, training, Console(), portrait)
    if done.result is None:
        typer.echo(f"{run}: preparing is to be continued by the same command")
        return
    options.report(run, done.result)
    if done.result.interrupted or not done.result.step:
        return
    if done.tested:
        typer.echo(
            f"{run}: comparison.png shows the truth, the warp, before and after; comparison.json has the figures"
        )
    typer.echo("next:")
    typer.echo(f"  python -m training export {run / MODEL} {run / 'export'} --data {run / 'data'}")
    typer.echo(f"  avatar serve --model {run / 'export'}")
