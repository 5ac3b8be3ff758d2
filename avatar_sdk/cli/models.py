"""`avatar models`: published checkpoints become ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from avatar_client.errors import MissingDependencyError

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, AvatarGroup, examples

GROUP_EXAMPLES = examples(
    "avatar models list",
    "avatar models import Wan2.1-T2V-1.3B --out wan.safetensors",
    "avatar models show wan.safetensors",
)
IMPORT_EXAMPLES = examples(
    "avatar models import Wan2.1-T2V-1.3B --out wan.safetensors --preset wan-1.3b",
    "avatar models import Wan2.2-TI2V-5B/diffusion_pytorch_model.safetensors.index.json --out wan5.safetensors",
    "avatar models import self_forcing_dmd.pt --out causal.safetensors",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(
        cls=AvatarGroup,
        help="Import published checkpoints, which is the first step of training an avatar from them.",
        no_args_is_help=True,
        epilog=GROUP_EXAMPLES,
        rich_markup_mode="markdown",
    )
    group.command("import", cls=AvatarCommand, epilog=IMPORT_EXAMPLES)(_import)
    group.command("list", cls=AvatarCommand, epilog=examples("avatar models list"))(_list)
    group.command("show", cls=AvatarCommand, epilog=examples("avatar models show wan.safetensors"))(_show)
    app.add_typer(group, name="models")


def _import(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A .safetensors or .pth file, the index of shards, or the folder of one."),
    ],
    out: Annotated[Path, typer.Option(help="Where our checkpoint goes (.safetensors).")],
    preset: Annotated[str | None, typer.Option(help="Refuse any other size than this preset's.")] = None,
    dtype: Annotated[
        str, typer.Option(help="**bfloat16** or **float32**, of a generator's large matrices.")
    ] = "bfloat16",
    seed: Annotated[int, typer.Option(min=0, help="Of the input columns that are new.")] = 0,
    verbose: options.Verbose = False,
) -> None:
    """Check a published checkpoint and write it as ours, one weight at a time.

    Needs PyTorch (extra `gpu` or `train`), but no more memory than one weight and the map of one shard.
    """
    if find_spec("torch") is None:
        raise MissingDependencyError("importing needs torch; install avatar-sdk[train] or avatar-sdk[gpu]")
    from avatar_sdk.importers.conversion import plan, write
    from avatar_sdk.progress import progress

    made = plan(path, preset, dtype)
    with progress("importing", len(made.names), "weights") as on_weight:
        write(made, out, on_weight, seed)
    header = made.header
    typer.echo(
        f"{out}: {header.part} from {header.source}, {header.preset or 'no preset'}, {made.parameters:,} parameters"
    )
    if made.new_parameters:
        typer.echo(f"{made.new_parameters:,} of them are new input columns, at random")
    typer.echo(header.refusal(out))


def _list(verbose: options.Verbose = False) -> None:
    """List the published checkpoints that can be imported, and the presets they become."""
    from avatar_sdk.importers.registry import LAYOUTS
    from avatar_sdk.model.video_presets import VIDEO_PRESETS

    typer.echo("layouts that `avatar models import` reads:")
    for layout in LAYOUTS:
        typer.echo(f"  {layout.name:18} {layout.part}")
    typer.echo("presets (width × blocks × heads, tokens a latent, window):")
    for name, preset in VIDEO_PRESETS.items():
        g = preset.generator
        typer.echo(f"  {name:18} {g.dim}×{g.depth}×{g.heads}, {g.tokens}, {g.window}")
    typer.echo("where to get them and under which licence: docs/checkpoints.md")


def _show(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint that `avatar models import` wrote.")],
    verbose: options.Verbose = False,
) -> None:
    """Show what an imported checkpoint holds."""
    from avatar_sdk.model.checkpoint import count_parameters, read_part

    header = read_part(path)
    typer.echo(f"{path}: {header.part} from {header.source}, {header.preset or 'no preset'}")
    typer.echo(f"parameters: {count_parameters(path):,}")
    typer.echo(f"training stages: {', '.join(header.stages) or 'none'}")
    for key, value in header.config.items():
        typer.echo(f"  {key}: {value}")
    if not header.stages:
        typer.echo(header.refusal(path))
