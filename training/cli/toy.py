"""`training toy`: the whole recipe in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training toy",
    "python -m training toy --run out/toy --seed 3",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("toy", cls=AvatarCommand, epilog=EXAMPLES)(_toy)


def _toy(
    run: Annotated[Path | None, typer.Option(help="Folder to keep data, curves and model in. Default: none.")] = None,
    seed: options.Seed = 0,
    threads: options.Threads = 1,
    verbose: options.Verbose = False,
) -> None:
    """Try the whole recipe on a drawn face: every loss must fall, and the student must not drift.

    Takes less than a minute on one CPU core.
    """
    from tempfile import TemporaryDirectory

    from training.errors import TrainingError
    from training.setting import choose_device
    from training.toy import ToyConfig, toy

    choose_device("cpu", threads)
    with TemporaryDirectory() as scratch:
        report = toy(run or Path(scratch), ToyConfig(seed=seed))
    for row in report.rows():
        typer.echo(row)
    if problems := report.problems():
        raise TrainingError("; ".join(problems))
