"""Other ways of running the same graphs.

8-bit weights take 7 of their bits: a CPU without VNNI adds two products in 16 bits, and full ones would overflow there.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.checkpoint import INDEX, WEIGHTS
from avatar_sdk.model.export import MODULE, write_graph
from avatar_sdk.model.graphs import GeneratorGraph
from avatar_sdk.runtime.onnx_network import OnnxNetwork
from training.data import Clip
from training.export.player import guides

FUSED_OPSET: Final = 23
"""The first with an Attention operator."""
CALIBRATION_STRIDE: Final = 4

Variant = Callable[[Path, AvatarModel, Sequence[Clip]], None]
"""Rewrites one graph of an exported folder in place."""


def fused_attention(folder: Path, model: AvatarModel, clips: Sequence[Clip]) -> None:
    """The generator with keys and values joined by Concat and one Attention operator per layer."""
    names = write_graph(GeneratorGraph(model, joined=True).eval(), folder / "generator.onnx", FUSED_OPSET)
    _index(folder, "generator", names)


def int8_generator(folder: Path, model: AvatarModel, clips: Sequence[Clip]) -> None:
    """The generator's matrix products in 8 bits: weights per channel, activations scaled at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _whole(folder, "generator") as whole:
        quantize_dynamic(
            str(whole),
            str(folder / "generator.onnx"),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
    _index(folder, "generator", [])


def int8_decoder(folder: Path, model: AvatarModel, clips: Sequence[Clip]) -> None:
    """The decoder's convolutions in 8 bits, activations scaled by what `clips` show; its last layer is left alone."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with _whole(folder, "decoder") as whole:
        quantize_static(
            str(whole),
            str(folder / "decoder.onnx"),
            _Calibration(OnnxNetwork(folder), clips),
            quant_format=QuantFormat.QDQ,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[_last_convolution(whole)],
        )
    _index(folder, "decoder", [])


VARIANTS: Final[dict[str, tuple[str, Variant]]] = {
    "fused attention": ("generator", fused_attention),
    "int8 generator": ("generator", int8_generator),
    "int8 decoder": ("decoder", int8_decoder),
}
"""Name → the graph it changes, and how."""


class _whole:  # noqa: N801 - a context manager, used like a function
    """A copy of a graph that holds its own weights, ready for products, as the quantiser wants it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._path = folder / f"{name}.whole.onnx"

    def __enter__(self) -> Path:
        import onnx
        import onnxruntime

        weights = checkpoint.read_arrays(self._folder / WEIGHTS)
        proto = onnx.load(str(self._folder / f"{self._name}.onnx"), load_external_data=False)
        for tensor in proto.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                array = weights[tensor.name.removeprefix(MODULE)]
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
        onnx.save(proto, str(self._path))
        # The quantiser takes weights only, and the exporter's are transposed on the way: that is done once here.
        folding = onnxruntime.SessionOptions()
        folding.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        folding.optimized_model_filepath = str(self._path)
        onnxruntime.InferenceSession(str(self._path), folding)
        logging.getLogger().setLevel(logging.ERROR)  # the quantiser recommends its own preprocessing
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)


class _Calibration:
    """What the decoder is fed while clips play; the quantiser's reader."""

    def __init__(self, network: OnnxNetwork, clips: Sequence[Clip]) -> None:
        self._feeds = self._feed(network, clips)

    def get_next(self) -> dict[str, Any] | None:
        """The next inputs, None at the end."""
        return next(self._feeds, None)

    def set_range(self, *_: int) -> None:
        """Everything is read in one go."""

    @staticmethod
    def _feed(network: OnnxNetwork, clips: Sequence[Clip]) -> Iterator[dict[str, Any]]:
        for clip in clips:
            state = network.start(clip.reference[None])
            for k, guide in enumerate(guides(clip)):
                latent = network.latent(state, guide)
                if k % CALIBRATION_STRIDE == 0:
                    yield {"guide": guide, "latent": latent} | {f"past_{i}": p for i, p in enumerate(state.past)}
                network.residual(state, guide, latent)


def copied(folder: Path, into: Path) -> Path:
    """An exported folder to be changed."""
    shutil.copytree(folder, into)
    return into


def _last_convolution(path: Path) -> str:
    import onnx

    proto = onnx.load(str(path), load_external_data=False)
    return [node.name for node in proto.graph.node if node.op_type == "Conv"][-1]


def _index(folder: Path, graph: str, names: list[str]) -> None:
    index = json.loads((folder / INDEX).read_text())
    index[graph] = names
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")
