"""The commands of `python -m training`. Each has a file; heavy imports wait until one runs."""

from __future__ import annotations

import os
import signal

import typer

from training.cli import (
    ablate,
    adapt,
    adversarial,
    codec,
    curves,
    distill,
    encode_text,
    evaluate,
    export,
    finetune,
    prepare,
    synthesize,
    toy,
)

app = typer.Typer(
    name="training",
    help="From clips, or people who do not exist, to an avatar model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stages = (codec, adapt, distill, adversarial)
for module in (synthesize, prepare, encode_text, *stages, curves, finetune, toy, ablate, evaluate, export):
    module.register(app)


@app.callback()
def _training() -> None:
    """Nothing is shared by the commands."""


def main() -> None:
    """Entry point."""
    for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{pool}_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: what was made is kept
    app(prog_name="python -m training")
