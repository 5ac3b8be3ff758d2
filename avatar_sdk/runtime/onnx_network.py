"""The exported graphs on ONNX Runtime: from the guide of a frame to its latent, and on to its residual.

The ring cache lives in this network's own arrays, which the graph reads in place; after a step one frame's keys and
values are written into slot frame % window, and nothing else moves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from avatar_client.errors import InvalidConfigError, MissingDependencyError
from numpy.typing import NDArray

from avatar_sdk.model import checkpoint
from avatar_sdk.model.inputs import noise, rope, sink_frame, slot_bias

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GRAPHS: Final = ("portrait", "generator", "decoder")
_MODULE: Final = "model."
"""Graphs name the weights as the module that was exported holds them."""


@dataclass(eq=False)
class NetworkState:
    """What the network remembers of one avatar."""

    seed: int
    memory: dict[str, Floats]
    binding: Any
    latent: Floats
    past: list[Floats]
    frame: int = 0


class OnnxNetwork:
    """Three loaded graphs; serves any number of states."""

    def __init__(self, folder: Path, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        """Loads graphs and weights.

        Raises:
            InvalidConfigError: the folder holds no export, or its codec is trained and its generator is not.
            MissingDependencyError: onnxruntime is not installed, or without one of the providers.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                "onnxruntime is not installed; install avatar-sdk[cpu], or avatar-sdk[gpu] on a machine with CUDA"
            ) from error
        missing = sorted(set(providers) - set(onnxruntime.get_available_providers()))
        if missing:
            raise MissingDependencyError(
                f"this onnxruntime has no {', '.join(missing)}; install avatar-sdk[gpu] on a machine with CUDA"
            )
        header = checkpoint.read_header(folder / checkpoint.WEIGHTS)
        checkpoint.check_stages(header.stages)
        self.trained_stages = header.stages
        self.config = header.config
        weights = checkpoint.read_arrays(folder / checkpoint.WEIGHTS)
        taken = _index(folder)
        self._portrait, self._generator, self._decoder = (
            _session(onnxruntime, folder / f"{name}.onnx", taken[name], weights, providers) for name in GRAPHS
        )
        self._past_shapes = [tuple(i.shape) for i in self._decoder.get_inputs() if i.name.startswith("past_")]

    def start(self, reference: Pixels, seed: int = 0) -> NetworkState:
        """Allocates the ring and computes the sink of the portrait, whose guide at rest is (1, 11, 256, 256) uint8."""
        g = self.config.generator
        memory: dict[str, Floats] = {
            f"ring_{part}_{i}": np.zeros((1, g.heads, g.window * g.tokens, g.head_dim), np.float32)
            for part in ("key", "value")
            for i in range(g.depth)
        }
        for part in ("key", "value"):
            for i in range(g.depth):
                memory[f"{part}_{i}"] = np.zeros((1, g.heads, g.tokens, g.head_dim), np.float32)
        latent = np.zeros((1, *g.latent_shape), np.float32)
        past = [np.zeros(shape, np.float32) for shape in self._past_shapes]
        state = NetworkState(seed, memory, self._generator.io_binding(), latent, past)
        self.take_sink(state, reference)
        for name, array in memory.items():
            if name.startswith(("ring_", "sink_")):
                state.binding.bind_cpu_input(name, array)
            else:
                state.binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return state

    def take_sink(self, state: NetworkState, reference: Pixels) -> None:
        """Mutates `state`: another portrait, the same past."""
        names = [output.name for output in self._portrait.get_outputs()]
        for name, value in zip(names, self._portrait.run(None, {"guide": reference}), strict=True):
            if name in state.memory:
                state.memory[name][:] = value
            else:
                state.memory[name] = np.ascontiguousarray(value)

    def latent(self, state: NetworkState, guide: Pixels) -> Floats:
        """(1, C, grid, grid) of the next frame. Mutates `state`."""
        g = self.config.generator
        own, behind = rope(g, state.frame), rope(g, sink_frame(g, state.frame))
        latent = np.empty_like(state.latent)
        binding = state.binding
        inputs = {
            "guide": guide,
            "noise": noise(g, state.seed, state.frame)[None],
            "recycled": state.latent,
            "cos": np.stack([own[0], behind[0]]),
            "sin": np.stack([own[1], behind[1]]),
            "bias": slot_bias(g, state.frame).repeat(g.tokens)[None, None, None],
        }
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output("latent", "cpu", 0, np.float32, latent.shape, latent.ctypes.data)
        self._generator.run_with_iobinding(binding)
        slot = slice(state.frame % g.window * g.tokens, (state.frame % g.window + 1) * g.tokens)
        for part in ("key", "value"):
            for i in range(g.depth):
                state.memory[f"ring_{part}_{i}"][:, :, slot] = state.memory[f"{part}_{i}"]
        state.frame += 1
        state.latent = latent
        return latent

    def residual(self, state: NetworkState, guide: Pixels, latent: Floats) -> Floats:
        """(256, 256, 4) float32: RGB delta and mask logit. Mutates the decoder's part of `state`."""
        feed = {"guide": guide, "latent": latent}
        feed |= {f"past_{i}": past for i, past in enumerate(state.past)}
        residual, *state.past = self._decoder.run(None, feed)
        return np.asarray(residual, np.float32)


def _index(folder: Path) -> dict[str, list[str]]:
    """Graph → names of the weights it takes."""
    path = folder / checkpoint.INDEX
    try:
        index: dict[str, list[str]] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InvalidConfigError(
            f"{path} cannot be read ({error}); export the checkpoint again with `avatar export`", field="model"
        ) from error
    missing = [name for name in GRAPHS if name not in index or not (folder / f"{name}.onnx").is_file()]
    if missing:
        raise InvalidConfigError(
            f"{folder} has no graph {', '.join(missing)}; export the checkpoint again with `avatar export`",
            field="model",
        )
    return index


def _session(
    onnxruntime: Any, path: Path, names: list[str], weights: dict[str, Floats], providers: Sequence[str]
) -> Any:
    """One graph on one thread that sleeps while it waits, with the checkpoint's weights in place."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name.removeprefix(_MODULE)]) for name in names]
    except KeyError as error:
        raise InvalidConfigError(
            f"{path.name} needs the weight {error}, which {checkpoint.WEIGHTS} lacks; export the checkpoint again",
            field="model",
        ) from error
    options.add_external_initializers(names, values)
    return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
