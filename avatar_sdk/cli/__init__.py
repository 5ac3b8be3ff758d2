"""The `avatar` command. Each command has a file; heavy imports wait until one runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from avatar_sdk import __version__
from avatar_sdk.cli import animate, bench, cameras, doctor, export, models, serve, track, webcam

app = typer.Typer(
    name="avatar",
    help="One portrait and one webcam make a live avatar, at 24 frames a second.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (serve, webcam, animate, track, cameras, doctor, bench, export, models):
    module.register(app)


@app.callback(invoke_without_command=True)
def _avatar(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the `avatar` command."""
    for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        # One thread per stage: pools that share cores with other work collapse (docs/design.md §7).
        os.environ.setdefault(f"{pool}_NUM_THREADS", "1")
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
    app()
