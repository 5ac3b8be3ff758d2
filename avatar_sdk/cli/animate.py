"""`avatar animate`: a portrait and a driver make a video."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from avatar_client.errors import InvalidConfigError

from avatar_sdk.cli import options
from avatar_sdk.cli.command import INTERRUPTED_EXIT, AvatarCommand, examples
from avatar_sdk.progress import progress

if TYPE_CHECKING:
    from avatar_sdk.animate import Report

EXAMPLES = examples(
    "avatar animate me.jpg talk.mp4 -o avatar.mp4",
    "avatar animate me.jpg talk.poses -o avatar.mp4 --framing face --background blur",
    "avatar animate me.jpg talk.mp4 -o avatar.mp4 --fps source --side-by-side --sheet avatar.png --report avatar.json",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("animate", cls=AvatarCommand, epilog=EXAMPLES)(_animate)


def _animate(
    portrait: Annotated[Path, typer.Argument(metavar="PORTRAIT", help="JPEG, PNG or WebP with one face.")],
    driver: Annotated[Path, typer.Argument(metavar="DRIVER", help="Video of the driver, or a .poses file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The mp4 to write.")],
    fps: Annotated[
        str, typer.Option(help="Output rate, or **source**: exactly one frame per frame of the driver.")
    ] = "24",
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Move between two poses instead of showing the earlier one.")
    ] = False,
    framing: options.Framing = "bust",
    neutral: options.NeutralOption = "auto",
    smoothing: options.Smoothing = "on",
    body: Annotated[bool, typer.Option("--body", help="Track the shoulders of a video's driver too (slower).")] = False,
    background: options.BackgroundOption = "keep",
    size: Annotated[int, typer.Option(help="Width and height in pixels, even, 64 to 2048.")] = 512,
    model: options.Model = "lite",
    quality: Annotated[
        str,
        typer.Option(help="**small**, **good**, **high**, **near-lossless**, or x264's CRF, 0 (best) to 51."),
    ] = "good",
    badge: options.BadgeOption = True,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Show the driver with its landmarks beside the avatar.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (PNG or JPEG).")] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write figures as JSON: affine (2x3, portrait to output pixels), timings, dropped, repeated."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the network's noise; the same seed gives the same video.")] = 0,
    verbose: options.Verbose = False,
) -> None:
    """Make a video in which PORTRAIT moves like DRIVER.

    The driver's sound is kept. Ctrl-C ends early with a video that plays. Every video carries a mark in its metadata
    and, unless switched off, in the picture.
    """
    from avatar_sdk.animate import AnimateConfig, Rendering
    from avatar_sdk.engine import Engine, EngineConfig
    from avatar_sdk.portrait import PortraitConfig

    mode, neutral_frame = options.parse_neutral(neutral)
    config = AnimateConfig(
        fps=_parse_fps(fps),
        interpolate=interpolate,
        portrait=PortraitConfig(
            width_px=size,
            height_px=size,
            framing=options.parse_framing(framing),
            background=options.parse_background(background),
        ),
        motion=options.motion_config(mode, options.parse_switch(smoothing, "smoothing")),
        neutral_frame=neutral_frame,
        body=body,
        crf=_parse_quality(quality),
        side_by_side=side_by_side,
        badge=badge,
        seed=seed,
    )
    rendering = Rendering(Engine.load(EngineConfig(model=model, slots=1)), portrait, driver, config)
    if rendering.portrait.faces > 1:
        typer.echo(f"{portrait} shows {rendering.portrait.faces} faces; the largest is used")
    with _stopped_by_signals() as stop, progress("rendering", rendering.expected_frames) as on_frame:
        result = rendering.write(output, sheet=sheet, on_frame=on_frame, stop=stop)
    if report:
        result.save(report)
    typer.echo(_summary(result, output))
    if result.interrupted:
        raise typer.Exit(INTERRUPTED_EXIT)


def _parse_fps(word: str) -> float | None:
    if word == "source":
        return None
    try:
        return float(word)
    except ValueError:
        raise InvalidConfigError(f"fps is {word!r}; it must be a number, or `source`", field="fps") from None


def _parse_quality(word: str) -> int:
    from avatar_sdk.video import QUALITIES

    if word in QUALITIES:
        return QUALITIES[word]
    if word.isdecimal():
        return int(word)
    raise InvalidConfigError(f"quality is {word!r}; it must be one of {', '.join(QUALITIES)}, or 0 to 51")


def _summary(result: Report, output: Path) -> str:
    lines = [
        f"{output}: {result.frames} frames, {result.duration_s:.1f} s at {result.fps:g} fps, "
        f"rendered at {result.rendered_fps:g} frames/s"
    ]
    if result.driver_frames_without_face:
        lines.append(
            f"{result.driver_frames_without_face} of {result.driver_frames} driver frames show no face; "
            "the avatar held or idled there"
        )
    if result.interrupted:
        lines.append("stopped early; the video is complete up to there")
    return "\n".join(lines)


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def handle(number: int, _: Any) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
