"""The embedded default: warp, the exported graphs on ONNX Runtime, compositor. One thread per stage, no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.guide import NetworkDraft, at_rest, guide_of
from avatar_sdk.runtime.onnx_network import NetworkState, OnnxNetwork
from avatar_sdk.warp import Warp, composite


@dataclass(eq=False)
class OnnxState:
    """Everything one live avatar remembers."""

    warp: Warp
    network: NetworkState


class OnnxRuntime:
    """Implements `Runtime` on an exported folder; serves any number of states."""

    together = False
    delay = 0

    def __init__(self, folder: Path, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        """Loads graphs and weights; raises as `OnnxNetwork`."""
        self._network = OnnxNetwork(folder, providers)
        self.config = self._network.config
        self.name = self.config.name
        self.trained_stages = self._network.trained_stages

    def start(self, portrait: Portrait, seed: int = 0) -> OnnxState:
        """Allocates the ring and computes the portrait's sink."""
        warp = Warp(portrait)
        return OnnxState(warp, self._network.start(guide_of(warp.step(at_rest(portrait))), seed))

    def replace_portrait(self, state: OnnxState, portrait: Portrait) -> None:
        """Mutates `state` in place: another face, the same motion so far."""
        state.warp = Warp(portrait)
        self._network.take_sink(state.network, guide_of(state.warp.step(at_rest(portrait))))

    def predict(self, state: OnnxState, motion: Motion) -> NetworkDraft:
        """Warp and generator."""
        started = time.perf_counter_ns()
        frame = state.warp.step(motion)
        warped = time.perf_counter_ns()
        guide = guide_of(frame)
        latent = self._network.latent(state.network, guide)
        done = time.perf_counter_ns()
        timings = {"warp": (warped - started) // 1000, "generator": (done - warped) // 1000}
        return NetworkDraft(frame, guide, latent, timings)

    def render(self, state: OnnxState, draft: NetworkDraft) -> NDArray[np.uint8]:
        """Decoder and compositor."""
        started = time.perf_counter_ns()
        residual = self._network.residual(state.network, draft.guide, draft.latent)
        decoded = time.perf_counter_ns()
        image = composite(draft.frame, residual)
        done = time.perf_counter_ns()
        draft.timings_us.update(decode=(decoded - started) // 1000, composite=(done - decoded) // 1000)
        return image

    def close(self, state: OnnxState) -> None:
        """Nothing is held outside `state`."""
