"""`training evaluate`: how good an avatar is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training evaluate clips/ --out out/quality",
    "python -m training evaluate clips/ --model runs/lite/model.safetensors --step 6",
    "python -m training evaluate clips/ --frames 7200",
    "python -m training evaluate clips/ --portraits photos/",
    "python -m training synthesize out/strangers --videos 8 --seed 90",
    "python -m training evaluate out/strangers --landmarks exact",
)

PHOTOS = (".png", ".jpg", ".jpeg", ".webp")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("evaluate", cls=AvatarCommand, epilog=EXAMPLES)(_evaluate)


def _evaluate(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIPS...", help="Videos, or folders of videos.")],
    model: Annotated[
        str, typer.Option(help="**lite**, an exported folder, **torch:**FOLDER, or a checkpoint (.safetensors).")
    ] = "lite",
    out: Annotated[Path, typer.Option(help="Where table, plots and sheets go.")] = Path("out/evaluation"),
    step: Annotated[int, typer.Option(min=1, help="Measure every so many frames.")] = 3,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Only the beginning of each clip.")] = None,
    framing: Annotated[float, typer.Option(help="Field of view in face sizes.")] = 2.2,
    landmarks: Annotated[
        Literal["detected", "exact"],
        typer.Option(help="What drives: MediaPipe, or the `.poses` file beside each video."),
    ] = "detected",
    memory: Annotated[
        bool, typer.Option(help="Also run the model without recycled frame, without cache, without its generator.")
    ] = True,
    stillness: Annotated[bool, typer.Option(help="Also measure jitter before a driver who keeps still.")] = True,
    frames: Annotated[
        int, typer.Option(min=0, help="Also look for drift over so many frames per clip, e.g. 7200; 0 = not.")
    ] = 0,
    portraits: Annotated[
        Path | None, typer.Option(help="Folder of photos: also draw sheets of each moved by every clip.")
    ] = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Let clips drive their own first frame, and compare with the clip.

    Systems: the static portrait, the warp without and with painted mouth, the model, the model without its recycled
    frame, without its cache, and without its generator: what its decoder makes alone. Exits with 0 whether or not
    targets are met.
    """
    from rich.console import Console

    from training.errors import DataError
    from training.evaluate.drift import DriftConfig
    from training.evaluate.evaluation import EvaluationConfig, evaluate
    from training.evaluate.reel import clips_in
    from training.evaluate.stillness import StillnessConfig
    from training.setting import choose_device

    choose_device("cpu", threads)
    photos: list[Path] = []
    if portraits is not None:
        photos = sorted(p for p in portraits.glob("*") if p.suffix.lower() in PHOTOS)
        if not photos:
            raise DataError(f"there is no photo ({', '.join(PHOTOS)}) in {portraits}")
    config = EvaluationConfig(
        model=model,
        step=step,
        seconds=seconds,
        framing=framing,
        landmarks=landmarks,
        memory=memory,
        stillness=StillnessConfig() if stillness else None,
        drift=DriftConfig(frames=frames) if frames else None,
        portraits=photos,
    )
    evaluate(clips_in(clips), out, config, Console())
