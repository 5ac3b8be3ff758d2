"""`training prepare`: your own videos become training clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples(
    "python -m training prepare videos/ data/mine",
    "python -m training prepare one.mp4 two.mov more/ data/mine --sheet out/mine.png",
    "python -m training prepare videos/ data/mine --minutes 30   (the same command goes on)",
    "python -m training prepare videos/ data/pictures --picture 736x416 --frames 29",
    "python -m training prepare old/ data/old --blur 0.7 --min-face 60 --step 16",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("prepare", cls=AvatarCommand, epilog=EXAMPLES)(_prepare)


def _prepare(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIPS...", help="Videos, or folders of videos.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder where the shards go; may hold some already.")],
    frames: Annotated[int, typer.Option(help="Per clip, 2 to 255; fewer of large pictures.")] = 32,
    step: Annotated[
        int, typer.Option(min=0, help="Frames from one clip's start to the next's; 0 = clips do not overlap.")
    ] = 0,
    fps: Annotated[float, typer.Option(help="Faster videos are thinned out to about this rate.")] = 30.0,
    min_face: Annotated[float, typer.Option(help="Leave out faces smaller than this, in pixels.")] = 80.0,
    blur: Annotated[float, typer.Option(help="Leave out clips more blurred than this; 0 = sharp, 1 = all go.")] = 0.62,
    motion: Annotated[
        float, typer.Option(help="Leave out clips whose landmarks move less than this, in face sizes.")
    ] = 0.003,
    cut: Annotated[float, typer.Option(help="Change of the picture that may be a cut, 0 to 1.")] = 0.08,
    neutral: Annotated[
        float, typer.Option(help="How far a portrait may be from a straight look and a closed mouth; 0 = not at all.")
    ] = 3.5,
    size: Annotated[int, typer.Option(help="Side of the portrait, in pixels.")] = 512,
    framing: Annotated[float, typer.Option(help="Field of view of the portrait, in face sizes.")] = 2.2,
    picture: Annotated[
        str | None,
        typer.Option(help="Whole pictures for a video generator: 416p, 480p, 704p, 720p, or as 736x416."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also draw a contact sheet of clips, a PNG.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")] = False,
) -> None:
    """Turn your own videos into training clips.

    Each video is tracked, parted at cuts, and freed of what teaches nothing: blur, several faces, no face, too small a
    face, no motion. Every take's best frame becomes its portrait. What was left out and why stands in OUT/report.json.

    Interrupt it whenever you like: the same command goes on, and reads no finished video again.
    """
    from rich.console import Console

    from avatar_sdk.model.video_presets import parse_resolution
    from training.data import Shards
    from training.data.sheet import clip_sheet
    from training.prepare.config import PrepareConfig
    from training.prepare.preparation import prepare
    from training.prepare.table import print_report

    size_px = None if picture is None else parse_resolution(picture)
    config = PrepareConfig(
        frames=frames,
        step=step,
        fps=fps,
        min_face_px=min_face,
        blur=blur,
        motion=motion,
        cut=cut,
        neutral=neutral,
        size_px=size,
        framing=framing,
        picture=None if size_px is None else (size_px.width_px, size_px.height_px),
    )
    done = prepare(clips, out, config, minutes)
    print_report(Console(), done.report)
    if not done.finished:
        typer.echo(f"{out}: {done.clips} new clips, to be continued by the same command")
    done.check()
    if not any(one.clips for one in done.report.videos.values()):
        return
    shards = Shards(out)
    if done.finished:
        typer.echo(f"{out}: {len(shards)} clips, {done.clips} of them new")
    if sheet is not None:
        rows = min(8, len(shards))
        clip_sheet([shards[i * len(shards) // rows] for i in range(rows)], sheet)
        typer.echo(f"{sheet}: portrait, then truth, warp and masks of a few clips")
