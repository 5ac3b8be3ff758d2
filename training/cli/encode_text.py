"""`training encode-text`: the prompt of a public video generator, once and for all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatar_sdk.cli.command import AvatarCommand, examples
from training.cli import options

EXAMPLES = examples(
    'python -m training encode-text --text "a person talks to the camera" --encoder umt5-xxl --out talk.safetensors',
    "python -m training encode-text --empty --out none.safetensors",
    "python -m training encode-text --empty --preset aapt-8b --out none.safetensors",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("encode-text", cls=AvatarCommand, epilog=EXAMPLES)(_encode_text)


def _encode_text(
    out: Annotated[Path, typer.Option(help="Where the embedding goes (.safetensors).")],
    text: Annotated[str | None, typer.Option(help="The prompt.")] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help="Folder of the text encoder the generator was made with, for Wan google/umt5-xxl."),
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="No words: zeros, which no text encoder has made.")] = False,
    preset: Annotated[str, typer.Option(help="Whose generator is to read it.")] = "wan-1.3b",
    verbose: options.Verbose = False,
) -> None:
    """Make the text embedding that a video generator is trained and served with.

    A generator is adapted with one prompt, the same for all clips. Without `--text-embedding`, `adapt` takes what
    `--empty` writes: zeros. The public models have not seen it in training; they learn what it means while they are
    adapted, as they learn what the warped frames mean.

    The encoder needs transformers (extra `text`) and memory for its weights: 23 GB for umt5-xxl in float32.
    """
    from avatar_client.errors import InvalidConfigError

    from avatar_sdk.model.video_presets import VIDEO_PRESETS

    if preset not in VIDEO_PRESETS:
        raise InvalidConfigError(f"there is no preset {preset!r}; there are {', '.join(VIDEO_PRESETS)}", field="preset")
    generator = VIDEO_PRESETS[preset].generator
    if not generator.text_dim:
        raise InvalidConfigError(f"{preset} has no text", field="preset")
    if empty == (text is not None) or (text is not None and encoder is None):
        raise InvalidConfigError("give --text and --encoder, or --empty", field="text")
    from training.video.text import EMPTY, empty_text, encode_text, save_text

    if text is None or encoder is None:
        made, source = empty_text(generator.text_dim), EMPTY
    else:
        made, source = encode_text(text, encoder, generator.text_tokens), encoder.name
        if made.shape[1] != generator.text_dim:
            raise InvalidConfigError(
                f"{encoder} makes tokens of {made.shape[1]} numbers, {preset} takes {generator.text_dim}",
                field="encoder",
            )
    save_text(out, made, text or "", source)
    typer.echo(f"{out}: {made.shape[0]} tokens of {made.shape[1]} numbers, {'no words' if empty else source}")
