"""`avatar doctor`: does it work here?"""

from __future__ import annotations

from typing import Annotated

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples("avatar doctor", "avatar doctor --camera logitech", "avatar doctor --model warp")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor", cls=AvatarCommand, epilog=EXAMPLES)(_doctor)


def _doctor(
    camera: Annotated[str | None, typer.Option(help="Number or name of the camera to try; default: the first.")] = None,
    model: options.Model = "lite",
    verbose: options.Verbose = False,
) -> None:
    """Check Python, packages, camera, tracking, model and a whole round trip through the service.

    Says what to do about whatever does not work, and leaves with 1 if anything keeps avatars from working.
    """
    from avatar_sdk.doctor import Verdict, examine

    failed = False
    for finding in examine(model, camera):
        typer.echo(f"{finding.verdict.value:>4}  {finding.subject:<10} {finding.text}")
        failed |= finding.verdict is Verdict.BAD
    typer.echo("\nsomething keeps avatars from working, see FAIL above" if failed else "\nall that is needed works")
    if failed:
        raise typer.Exit(1)
