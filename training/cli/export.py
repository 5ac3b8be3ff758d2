"""`training export`: a checkpoint becomes what the service runs, as fast as it can."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training export runs/lite/model.safetensors out/lite --data data/heads",
    "python -m training export runs/lite/model.safetensors out/lite --data data/heads --variant 'fused attention'",
    "python -m training export runs/lite/model.safetensors out/lite      (plain graphs, nothing is tried)",
    "avatar serve --model out/lite        avatar serve --model cuda:out/lite",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export", cls=AvatarCommand, epilog=EXAMPLES)(_export)


def _export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Trained weights (.safetensors).")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the model goes; give it to --model.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of shards: a few clips calibrate, judge and time the variants.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many of them.")] = 5,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="Try only this one; may be given more than once. 8 bits pay off on CPUs with VNNI only."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each variant is timed.")] = 3,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
) -> None:
    """Write the graphs of a checkpoint for ONNX Runtime.

    They are compared with PyTorch (at most 1e-3 apart). Fused attention and 8-bit arithmetic are tried; each is kept
    where it is faster on this machine and costs less than 0.1 dB.
    """
    from rich.console import Console
    from rich.table import Table

    from training.data import Shards
    from training.export.trial import ExportConfig, export_measured
    from training.setting import choose_device

    choose_device("cpu", threads)
    shards = Shards(data) if data else None
    picked = [shards[len(shards) - 1 - k] for k in range(min(clips, len(shards)))] if shards else []
    done = export_measured(checkpoint, folder, picked, ExportConfig(rounds=rounds, only=variant))
    if done.trials:
        console = Console()
        console.print("largest difference from PyTorch: " + ", ".join(f"{k} {v:.1e}" for k, v in done.parity.items()))
        table = Table("variant", "graph", "ms", "plain ms", "ratio", "costs dB", "kept")
        for one in done.trials:
            ratio = one.time_ms / one.plain_ms
            figures = (f"{one.time_ms:.2f}", f"{one.plain_ms:.2f}", f"{ratio:.2f}", f"{one.loss_db:+.3f}")
            table.add_row(one.name, one.graph, *figures, "yes" if one.kept else f"no: {one.reason}")
        console.print(table)
    typer.echo(f"{folder} is ready: avatar serve --model {folder}")
