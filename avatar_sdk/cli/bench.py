"""`avatar bench`: how fast is it here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

if TYPE_CHECKING:
    from avatar_sdk.bench.video import VideoBenchConfig

EXAMPLES = examples(
    "avatar bench",
    "avatar bench --json bench.json",
    "avatar bench --minutes 10",
    "avatar bench --busy-core --seconds 30",
    "avatar bench --device cuda --sessions 50,100,200,300 --precision bfloat16 --json sessions.json",
    "avatar bench --preset test",
    "avatar bench --preset aapt-8b --resolution 416p --window 30 --device cuda --compare self-forcing-layout",
    "avatar bench --preset wan-1.3b --device cuda --sweep --json wan.json --plot wan.png",
    "torchrun --nproc-per-node 2 --no-python avatar bench --preset aapt-8b --resolution 720p --device cuda",
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
    sessions: Annotated[
        str | None,
        typer.Option(help="Instead: how many sessions a device carries. Increasing numbers to try, as **1,2,4**."),
    ] = None,
    device: Annotated[str, typer.Option(help="With --sessions or --preset: **cpu** or **cuda**.")] = "cpu",
    preset: Annotated[
        str,
        typer.Option(
            help="Instead: one stream of a large generator with random weights, **test**, **wan-1.3b**, **wan-5b**, "
            "**wan-14b**, **aapt-8b** or **dit-8b**. With --sessions: random weights of **lite** or **test**."
        ),
    ] = "",
    precision: Annotated[
        str,
        typer.Option(
            help="**float32** or **bfloat16**; with --preset and without --sessions, bfloat16 is the default on CUDA."
        ),
    ] = "",
    side: Annotated[int, typer.Option(help="With --sessions: width and height of the pictures.")] = 512,
    resolution: Annotated[
        str, typer.Option(help="With --preset: **416p**, **480p**, **704p**, **720p**, or as 736x416.")
    ] = "",
    window: Annotated[int | None, typer.Option(help="With --preset: past latents that are attended to.")] = None,
    codec: Annotated[str, typer.Option(help="With --preset: **taehv**, **light** or **wan**.")] = "taehv",
    stem: Annotated[
        bool, typer.Option("--stem", help="With --preset: a strided stem encodes the condition, not the codec.")
    ] = False,
    fp8: Annotated[bool, typer.Option("--fp8", help="With --preset: 8-bit products in the blocks.")] = False,
    fp8_cache: Annotated[bool, typer.Option("--fp8-cache", help="With --preset: 8-bit keys and values.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="With --preset: torch.compile on the blocks.")] = False,
    overlap: Annotated[
        bool, typer.Option("--overlap/--no-overlap", help="With --preset: decode while the next latent is computed.")
    ] = True,
    compare: Annotated[
        str, typer.Option(help="With --preset: **self-forcing-layout**, the common moving cache and second pass.")
    ] = "",
    hours: Annotated[float, typer.Option(help="With --preset: measure again at the positions after so long.")] = 0.0,
    sweep: Annotated[bool, typer.Option("--sweep", help="With --preset: all windows and resolutions.")] = False,
    steps: Annotated[int, typer.Option(help="With --preset: latents of a run.")] = 30,
    plot: Annotated[
        Path | None, typer.Option(help="With --preset: draw fps over the window, and the roofline, into this file.")
    ] = None,
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

    With --preset alone, one stream of a large generator is measured stage by stage against what the device can do at
    best. Its weights are random: only time means something.
    """
    if sessions is not None:
        _carry(sessions, device, model, preset, unpaced_seconds, side, precision or "float32", json)
        return
    if preset:
        from avatar_sdk.bench.video import VideoBenchConfig

        video = VideoBenchConfig(
            preset=preset,
            resolution=resolution,
            window=window,
            codec=codec,
            stem=stem,
            device=device,
            precision=precision,
            fp8=fp8,
            fp8_cache=fp8_cache,
            compiled=compiled,
            overlapped=overlap,
            compare=compare,
            hours=hours,
            sweep=sweep,
            steps=steps,
        )
        _stream(video, json, plot)
        return
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


def _stream(config: VideoBenchConfig, json: Path | None, plot: Path | None) -> None:
    from avatar_sdk.bench.video import run_video
    from avatar_sdk.bench.video_plots import check_plots, plot_video

    if plot:
        check_plots()
    result = run_video(config, typer.echo)
    if result is None:  # another process of torchrun speaks
        return
    written = []
    if json:
        result.save(json)
        written.append(json)
    if plot:
        plot_video(result, plot)
        written.append(plot)
    if written:
        typer.echo(f"\nwritten to {', '.join(map(str, written))}")


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
