"""`avatar export`: a checkpoint becomes what the service runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from avatar_client.errors import InvalidConfigError, MissingDependencyError

from avatar_sdk.cli import options
from avatar_sdk.cli.command import AvatarCommand, examples

EXAMPLES = examples(
    "avatar export my_model --checkpoint runs/lite.safetensors",
    "avatar export untrained --preset lite --seed 1",
    "avatar serve --model my_model",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export", cls=AvatarCommand, epilog=EXAMPLES)(_export)


def _export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the model goes; give it to --model.")],
    checkpoint: Annotated[Path | None, typer.Option(help="A trained checkpoint (.safetensors).")] = None,
    preset: Annotated[str | None, typer.Option(help="Instead: a fresh network of this size, e.g. **lite**.")] = None,
    seed: Annotated[int, typer.Option(help="Of a fresh network's weights.")] = 0,
    verbose: options.Verbose = False,
) -> None:
    """Turn a checkpoint into ONNX graphs and weights, which run without PyTorch.

    Needs the extra `train`.
    """
    missing = [package for package in ("torch", "onnx", "onnxscript") if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(f"exporting needs {', '.join(missing)}; pip install 'avatar-sdk[train]'")
    if (checkpoint is None) == (preset is None):
        raise InvalidConfigError("give either --checkpoint or --preset")
    from avatar_sdk.model.export import export, export_preset
    from avatar_sdk.model.presets import PRESETS

    if checkpoint is not None:
        if not checkpoint.is_file():
            raise InvalidConfigError(f"the checkpoint {checkpoint} does not exist")
        export(checkpoint, folder)
    else:
        assert preset is not None
        if preset not in PRESETS:
            raise InvalidConfigError(f"there is no preset {preset!r}; there are {', '.join(sorted(PRESETS))}")
        export_preset(preset, folder, seed)
    typer.echo(f"{folder} is ready: avatar serve --model {folder}")
