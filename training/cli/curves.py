"""`training curves`: how a run has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training curves --run runs/lite",
    "python -m training curves --run runs/lite --out docs/training/lite.png",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("curves", cls=AvatarCommand, epilog=EXAMPLES)(_curves)


def _curves(
    run: options.Run = Path("runs/lite"),
    out: Annotated[Path, typer.Option(help="The picture, a PNG.")] = Path("out/curves.png"),
    verbose: options.Verbose = False,
) -> None:
    """Draw the curves of a run, one panel per stage."""
    from training.curves import plot_curves

    typer.echo(f"{out}: {', '.join(plot_curves(run, out))}")
