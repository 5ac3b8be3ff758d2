"""`avatar cameras`: what can be named as a camera."""

from __future__ import annotations

import typer

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples("avatar cameras", "avatar webcam me.jpg --camera 0", "avatar webcam me.jpg --camera logitech")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("cameras", cls=AvatarCommand, epilog=EXAMPLES)(_cameras)


def _cameras(verbose: options.Verbose = False) -> None:
    """List the cameras of this machine by number and name."""
    from avatar_client.capture import list_cameras

    cameras = list_cameras()
    for camera in cameras:
        typer.echo(f"{camera.index}: {camera.name}" + (f"  ({camera.path})" if camera.path else ""))
    if not cameras:
        typer.echo("no camera found; connect one, or give a video file where a camera is asked for")
