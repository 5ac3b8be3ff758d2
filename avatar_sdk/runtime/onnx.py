"""The embedded default: the exported graphs on ONNX Runtime, one thread per stage, no torch.

The ring cache lives in this runtime's own arrays, which the graph reads in place; after a step one frame's keys and
values are written into slot frame % window, and nothing else moves.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from avatar_client.errors import InvalidConfigError, MissingDependencyError
from numpy.typing import NDArray

from avatar_sdk.model import checkpoint
from avatar_sdk.model.inputs import noise, rope, sink_frame, slot_bias
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.guide import NetworkDraft, at_rest, guide_of
from avatar_sdk.warp import Warp, composite

Floats = NDArray[np.float32]

GRAPHS: Final = ("portrait", "generator", "decoder")
_MODULE: Final = "model."
"""Graphs name the weights as the module that was exported holds them."""


@dataclass(eq=False)
class OnnxState:
    """Everything one live avatar remembers."""

    seed: int
    warp: Warp
    memory: dict[str, Floats]
    binding: Any
    frame: int = 0
    latent: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    past: list[Floats] = field(default_factory=list)


class OnnxRuntime:
    """Implements `Runtime` on an exported folder; serves any number of states."""

    def __init__(self, folder: Path, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
        """Loads graphs and weights.

        Raises:
            InvalidConfigError: the folder holds no export, or its codec is trained and its generator is not.
            MissingDependencyError: onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                "onnxruntime is not installed; install avatar-sdk[cpu], or avatar-sdk[gpu] on a machine with CUDA"
            ) from error
        header = checkpoint.read_header(folder / checkpoint.WEIGHTS)
        checkpoint.check_stages(header.stages)
        self.name = header.config.name
        self.trained_stages = header.stages
        self.config = header.config
        weights = checkpoint.read_arrays(folder / checkpoint.WEIGHTS)
        taken = _index(folder)
        self._portrait, self._generator, self._decoder = (
            _session(onnxruntime, folder / f"{name}.onnx", taken[name], weights, providers) for name in GRAPHS
        )
        self._past_shapes = [tuple(i.shape) for i in self._decoder.get_inputs() if i.name.startswith("past_")]

    def start(self, portrait: Portrait, seed: int = 0) -> OnnxState:
        """Allocates the ring and computes the portrait's sink."""
        g = self.config.generator
        memory: dict[str, Floats] = {
            f"ring_{part}_{i}": np.zeros((1, g.heads, g.window * g.tokens, g.head_dim), np.float32)
            for part in ("key", "value")
            for i in range(g.depth)
        }
        for part in ("key", "value"):
            for i in range(g.depth):
                memory[f"{part}_{i}"] = np.zeros((1, g.heads, g.tokens, g.head_dim), np.float32)
        state = OnnxState(seed, Warp(portrait), memory, self._generator.io_binding())
        state.latent = np.zeros((1, g.latent_channels, g.grid, g.grid), np.float32)
        state.past = [np.zeros(shape, np.float32) for shape in self._past_shapes]
        self._take_sink(state, portrait)
        for name, array in memory.items():
            if name.startswith(("ring_", "sink_")):
                state.binding.bind_cpu_input(name, array)
            else:
                state.binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return state

    def replace_portrait(self, state: OnnxState, portrait: Portrait) -> None:
        """Mutates `state` in place: another face, the same motion so far."""
        state.warp = Warp(portrait)
        self._take_sink(state, portrait)

    def predict(self, state: OnnxState, motion: Motion) -> NetworkDraft:
        """Warp and generator."""
        g = self.config.generator
        started = time.perf_counter_ns()
        frame = state.warp.step(motion)
        warped = time.perf_counter_ns()
        guide = guide_of(frame)
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
        done = time.perf_counter_ns()
        timings = {"warp": (warped - started) // 1000, "generator": (done - warped) // 1000}
        return NetworkDraft(frame, guide, latent, timings)

    def render(self, state: OnnxState, draft: NetworkDraft) -> NDArray[np.uint8]:
        """Decoder and compositor."""
        started = time.perf_counter_ns()
        feed = {"guide": draft.guide, "latent": draft.latent}
        feed |= {f"past_{i}": past for i, past in enumerate(state.past)}
        residual, *state.past = self._decoder.run(None, feed)
        decoded = time.perf_counter_ns()
        image = composite(draft.frame, residual)
        done = time.perf_counter_ns()
        draft.timings_us.update(decode=(decoded - started) // 1000, composite=(done - decoded) // 1000)
        return image

    def close(self, state: OnnxState) -> None:
        """Nothing is held outside `state`."""

    def _take_sink(self, state: OnnxState, portrait: Portrait) -> None:
        guide = guide_of(state.warp.step(at_rest(portrait)))
        names = [output.name for output in self._portrait.get_outputs()]
        for name, value in zip(names, self._portrait.run(None, {"guide": guide}), strict=True):
            if name in state.memory:
                state.memory[name][:] = value
            else:
                state.memory[name] = np.ascontiguousarray(value)


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
    onnxruntime: Any, path: Path, names: list[str], weights: dict[str, Floats], providers: tuple[str, ...]
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
