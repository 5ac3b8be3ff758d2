"""`avatar bench`: how fast is it here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

if TYPE_CHECKING:
    from avatar_sdk.bench import Bench
    from avatar_sdk.bench.web import WebCost

EXAMPLES = examples(
    "avatar bench",
    "avatar bench --json bench.json",
    "avatar bench --minutes 10",
    "avatar bench --busy-core --seconds 30",
    "avatar bench --web --seconds 30",
    "avatar bench --device cuda --sessions 50,100,200,300 --precision bfloat16 --json sessions.json",
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
    web: Annotated[
        bool,
        typer.Option("--web", help="Instead: WebSocket against gRPC, then a session and 1,000 strangers a second."),
    ] = False,
    sessions: Annotated[
        str | None,
        typer.Option(help="Instead: how many sessions a device carries. Increasing numbers to try, as **1,2,4**."),
    ] = None,
    device: Annotated[str, typer.Option(help="With --sessions: **cpu** or **cuda**.")] = "cpu",
    preset: Annotated[
        str,
        typer.Option(help="With --sessions: random weights of this size, **lite** or **test**, in place of --model."),
    ] = "",
    precision: Annotated[str, typer.Option(help="With --sessions: **float32** or **bfloat16**.")] = "float32",
    side: Annotated[int, typer.Option(help="With --sessions: width and height of the pictures.")] = 512,
    json: Annotated[
        Path | None,
        typer.Option(help="Write the figures: unpaced.fps, paced.fps, paced.pose_to_frame_ms.p50 …, stages_ms.NAME."),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Measure every stage, the engine flat out, and the service in real time through a real socket.

    Pose → frame is the time from the parsed pose to just before the frame is written, waiting included; frames that
    show no new pose are left out of it. Run it on an otherwise idle machine.

    With --sessions, `lite` sessions are stepped together on one device, ever more of them, until 24 frames a second or
    50 ms for 95 % of the ticks are broken; each number for as long as --unpaced-seconds.
    """
    if sessions is not None:
        _carry(sessions, device, model, preset, unpaced_seconds, side, precision, json)
        return
    from avatar_sdk.bench import BenchConfig, run_bench
    from avatar_sdk.bench.web import run_web

    config = BenchConfig(
        model=model,
        seconds=seconds if minutes is None else 60 * minutes,
        unpaced_seconds=unpaced_seconds,
        pose_rate_hz=pose_rate,
        busy_core=busy_core,
    )
    result: Bench | WebCost
    if web:
        result = run_web(config.model, config.seconds, config.pose_rate_hz, typer.echo)
    else:
        result = run_bench(config, typer.echo)
    if json:
        result.save(json)
        typer.echo(f"\nwritten to {json}")


def _carry(
    sessions: str,
    device: str,
    model: str,
    preset: str,
    seconds: float,
    side_px: int,
    precision: str,
    json: Path | None,
) -> None:
    from avatar_sdk.bench.sessions import SessionsConfig, run_sessions

    counts = options.parse_counts(sessions)
    result = run_sessions(SessionsConfig(counts, device, model, preset, seconds, side_px, precision), typer.echo)
    if json:
        typer.echo(f"\nwritten to {', '.join(map(str, result.save(json)))}")
