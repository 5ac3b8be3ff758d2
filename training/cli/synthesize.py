"""`training synthesize`: clips of people who do not exist."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
