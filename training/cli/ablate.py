"""`training ablate`: the paper's claims in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    "python -m training ablate",
    "python -m training ablate --seeds 5 --minutes 20",
    "python -m training ablate --arms student,teacher-forced --walk 1024",
    "python -m training ablate --run runs/longer --steps 120",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ablate", cls=AvatarCommand, epilog=EXAMPLES)(_ablate)


def _ablate(
    run: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on in it.")] = Path("runs/ablate"),
    seeds: Annotated[int, typer.Option(min=1, help="How often every arm is trained.")] = 3,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these, separated by commas: student, teacher-forced, no-recycle, no-cache, twice, six-times, "
            "causal, bidirectional. Default: all."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of stage 3, in every arm.")] = 40,
    walk: Annotated[int, typer.Option(min=2, help="Frames that the student walks when it is measured.")] = 256,
    minutes: options.Minutes = None,
    threads: options.Threads = 1,
    verbose: options.Verbose = False,
) -> None:
    """Does what AAPT claims show on a drawn face? Stage 3 with and without what each claim is about.

    Student forcing, recycled frame, rollout length, kind of discriminator, cache. Leaves a table, `ablation.json` and
    `ablation.png`. Exits with 0 whether or not a claim reproduces.
    """
    from rich.console import Console

    from training.ablate.ablation import AblationConfig, ablate
    from training.setting import choose_device

    choose_device("cpu", threads)
    names = tuple(name.strip() for given in arms or () for name in given.split(",") if name.strip())
    ablate(run, AblationConfig(steps=steps, walk=walk), seeds, names, minutes, Console())
