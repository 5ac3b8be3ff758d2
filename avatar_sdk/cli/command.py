"""What every command has: examples in its help, and errors as one clear line."""

from __future__ import annotations

from typing import Any, Final

import typer
from avatar_client.errors import AvatarError
from typer.core import TyperCommand, TyperGroup

ERROR_EXIT: Final = 2
"""Exit code of every error that the user can do something about."""
INTERRUPTED_EXIT: Final = 130


class AvatarGroup(TyperGroup):
    """Commands about one thing."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help, and the examples as they are: wrapped commands could not be copied."""
        shown, self.epilog = self.epilog, None
        super().format_help(ctx, formatter)
        self.epilog = shown
        typer.echo(shown)


class AvatarCommand(TyperCommand):
    """Prints an `AvatarError` as one line and leaves with 2; with `--verbose`, lets the traceback through."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As of a group."""
        shown, self.epilog = self.epilog, None
        super().format_help(ctx, formatter)
        self.epilog = shown
        typer.echo(shown)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        verbose = ctx.params.get("verbose", False)
        try:
            return super().invoke(ctx)
        except AvatarError as error:
            if verbose:
                raise
            typer.echo(f"{ctx.command_path}: {error.message} [{type(error).__name__}]", err=True)
            _echo_notes(error)
            raise SystemExit(ERROR_EXIT) from None
        except KeyboardInterrupt as interrupt:
            if verbose:
                raise
            _echo_notes(interrupt)
            raise SystemExit(INTERRUPTED_EXIT) from None


def _echo_notes(error: BaseException) -> None:
    """What was saved in spite of the error, and such."""
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)


def examples(*lines: str) -> str:
    """An epilog for `--help`."""
    return "\n".join(["Examples:", *(f"  {line}" for line in lines), ""])
