"""From a checkpoint to what the ONNX runtime loads: graphs without weights, and the weights once.

    python -m avatar_sdk.model.export --preset lite OUT_FOLDER          an untrained network; its avatar is the warp
    python -m avatar_sdk.model.export --checkpoint X.safetensors OUT_FOLDER

The graphs refer to the weights of `model.safetensors` by name, half precision on disk, float32 in use.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any, Final

import torch

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.checkpoint import INDEX, WEIGHTS
from avatar_sdk.model.graphs import GRAPHS
from avatar_sdk.model.presets import PRESETS

MODULE: Final = "model."
"""Graphs name the weights as the module that was exported holds them."""
OPSET: Final = 20
LEAST_BYTES: Final = 1024
"""Smaller constants stay inside the graph."""


def export(source: Path, folder: Path) -> None:
    """Writes graphs and weights of the checkpoint `source` into `folder`.

    Raises:
        InvalidConfigError: the checkpoint cannot be used.
    """
    model, header = checkpoint.load(source)
    checkpoint.check_stages(header.stages)
    folder.mkdir(parents=True, exist_ok=True)
    if source != folder / WEIGHTS:
        shutil.copyfile(source, folder / WEIGHTS)
    weights = {name: write_graph(graph(model).eval(), folder / f"{name}.onnx") for name, graph in GRAPHS.items()}
    (folder / INDEX).write_text(json.dumps(weights, indent=1) + "\n")


def export_preset(preset: str, folder: Path, seed: int = 0) -> None:
    """Writes an untrained network of a preset."""
    path = folder / WEIGHTS
    checkpoint.save(path, AvatarModel.fresh(PRESETS[preset], seed))
    export(path, folder)


def write_graph(module: Any, path: Path, opset: int = OPSET) -> list[str]:
    """Exports one graph and takes the weights out of it; their names are left, in order."""
    import onnx

    inputs, outputs = module.names()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of its own internals, here and in its log
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            module.example(),
            input_names=inputs,
            output_names=outputs,
            dynamo=True,
            opset_version=opset,
            verbose=False,
            optimize=False,
        )
    assert program is not None
    proto = program.model_proto
    taken = []
    for tensor in proto.graph.initializer:
        if not tensor.name.startswith(MODULE) or len(tensor.raw_data) < LEAST_BYTES:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", WEIGHTS
        taken.append(tensor.name)
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    proto.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    path.write_bytes(proto.SerializeToString())
    return taken


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", choices=sorted(PRESETS), help="export an untrained network of this size")
    source.add_argument("--checkpoint", type=Path, help="export a trained checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="of an untrained network's weights (default: 0)")
    parser.add_argument("folder", type=Path, help="where to write")
    options = parser.parse_args()
    if options.preset:
        export_preset(options.preset, options.folder, options.seed)
    else:
        export(options.checkpoint, options.folder)


if __name__ == "__main__":
    main()
