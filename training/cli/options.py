"""Options that the stages share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.run import RunResult

Data = Annotated[list[Path], typer.Option("--data", help="Folder of shards; may be given more than once.")]
Run = Annotated[Path, typer.Option("--run", help="Folder of the run; the same command goes on in it.")]
Init = Annotated[
    Path | None,
    typer.Option(help="Checkpoint to begin with. Default: the run's model, else fresh weights of --preset."),
]
InitTrained = Annotated[Path | None, typer.Option("--init", help="Checkpoint to begin with. Default: the run's model.")]
Preset = Annotated[str, typer.Option(help="Size of a fresh network.")]
Steps = Annotated[int, typer.Option(min=1, help="In all, earlier sessions included.")]
Minutes = Annotated[float | None, typer.Option(min=0, help="Stop this session after so long.")]
Clips = Annotated[int, typer.Option(min=1, help="Per batch; under torchrun, of all ranks together.")]
StageClips = Annotated[
    int | None,
    typer.Option(
        "--clips",
        min=1,
        help="Per batch, of all ranks together. Default: 8, in stage 3 4; of video generators 1 a rank.",
        show_default=False,
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Per clip; of video generators 1 + 4·n, which are 1 + n latents. Default: 16, in stage 3 32; 29.",
        show_default=False,
    ),
]
LearningRate = Annotated[float, typer.Option("--lr", min=0, help="Learning rate.")]
StageRate = Annotated[
    float | None,
    typer.Option(
        "--lr",
        min=0,
        help="Learning rate. Default: 5e-4, 2e-4 and 1e-4 in stages 1, 2 and 3; of video generators 1e-5, 1e-5 and "
        "3e-6, of their adapters ten times that.",
        show_default=False,
    ),
]
Shift = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="How far times lean towards noise; 1 = not. Default: 3; 24 for video generators.",
        show_default=False,
    ),
]
Lora = Annotated[
    int, typer.Option(min=0, help="Rank of adapters that learn instead of a video generator's weights; 0 = none.")
]
Recompute = Annotated[
    bool,
    typer.Option("--recompute", help="Compute a video generator's blocks again for their gradients: less memory."),
]
Portable = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a small state without an optimiser's moments: read when the run has none, written at the end."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed and data give the same curve.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; under torchrun, a CUDA device per rank.")]
Half = Annotated[
    bool | None,
    typer.Option(help="Compute in bfloat16. Default: on CUDA; CPUs with AMX gain by it too.", show_default=False),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: PyTorch's.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")]


def report(run: Path, result: RunResult) -> None:
    """Prints where a session has ended."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    state = "done" if result.finished else "to be continued by the same command"
    typer.echo(f"{run}: step {result.step}, {state}; {figures}")
