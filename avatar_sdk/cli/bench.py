"""`avatar bench`: how fast is it here?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples(
    "avatar bench",
    "avatar bench --json bench.json",
    "avatar bench --minutes 10",
    "avatar bench --busy-core --seconds 30",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench", cls=AvatarCommand, epilog=EXAMPLES)(_bench)


def _bench(
    seconds: Annotated[float, typer.Option(help="Length of the run in real time.")] = 60.0,
    minutes: Annotated[float | None, typer.Option(help="The same in minutes, to watch the server's memory.")] = None,
    unpaced_seconds: Annotated[float, typer.Option(help="Length of the run flat out.")] = 10.0,
    pose_rate: Annotated[float, typer.Option(help="Poses a second in the run in real time, as a webcam gives.")] = 30.0,
    model: options.Model = "lite",
    busy_core: Annotated[
        bool, typer.Option("--busy-core", help="Meanwhile keep one core busy with another process.")
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option(help="Write the figures: unpaced.fps, paced.fps, paced.pose_to_frame_ms.p50 …, stages_ms.NAME."),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Measure every stage, the engine flat out, and the service in real time through a real socket.

    Pose → frame is the time from the parsed pose to just before the frame is written, waiting included; frames that
    show no new pose are left out of it. Run it on an otherwise idle machine.
    """
    from avatar_sdk.bench import BenchConfig, run_bench

    config = BenchConfig(
        model=model,
        seconds=seconds if minutes is None else 60 * minutes,
        unpaced_seconds=unpaced_seconds,
        pose_rate_hz=pose_rate,
        busy_core=busy_core,
    )
    result = run_bench(config, typer.echo)
    if json:
        result.save(json)
        typer.echo(f"\nwritten to {json}")
