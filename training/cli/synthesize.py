"""`training synthesize`: clips of people who do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples(
    "python -m training synthesize data/heads --people 2000",
    "python -m training synthesize data/heads --people 5000   (goes on where it stopped)",
    "python -m training synthesize data/heads --people 2000 --sheet out/heads.png --statistics 60",
    "python -m training synthesize out/judged --videos 12 --seconds 8 --seed 90",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("synthesize", cls=AvatarCommand, epilog=EXAMPLES)(_synthesize)


def _synthesize(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the shards go.")],
    people: Annotated[int, typer.Option(min=0, help="How many people in all; one clip each.")] = 1000,
    frames: Annotated[int, typer.Option(min=2, max=255, help="Per clip.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Person k of a seed is always the same.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Exact landmarks instead of ones that err as MediaPipe's.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="Also draw a contact sheet of clips, a PNG.")] = None,
    statistics: Annotated[
        int, typer.Option(min=0, metavar="PEOPLE", help="Also show so many to MediaPipe and print what it sees.")
    ] = 0,
    videos: Annotated[
        int, typer.Option(min=0, help="Instead of shards: so many mp4 with exact landmarks beside them.")
    ] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a video.")] = 8.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")] = False,
) -> None:
    """Film people who do not exist, with exact landmarks.

    Interrupt it whenever you like: the same command goes on.
    """
    from training.data import Shards
    from training.data.sheet import clip_sheet
    from training.synthesize import SynthesisConfig, film_video, synthesise

    config = SynthesisConfig(frames=frames, seed=seed, errors=(0.0, 0.0) if exact else (0.3, 1.0))
    if videos:
        for person in range(videos):
            typer.echo(film_video(folder, config, person, seconds))
        return
    if people:
        made = synthesise(folder, config, people, workers, minutes)
        if made.clips:
            typer.echo(
                f"{made.clips} clips, {made.frames} frames in {made.seconds:.0f} s: "
                f"{made.fps_per_worker:.1f} finished frames/s per process, {made.workers} processes"
            )
        shards = Shards(folder)
        typer.echo(f"{folder}: {len(shards)} clips")
        if sheet is not None:
            rows = min(8, len(shards))
            clip_sheet([shards[i * len(shards) // rows] for i in range(rows)], sheet)
            typer.echo(f"{sheet}: a few of them")
    if statistics:
        from training.heads.statistics import measure

        typer.echo(json.dumps(measure(seed, statistics).to_dict(), indent=1))
