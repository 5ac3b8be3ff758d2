"""The same checkpoint on PyTorch: the parity reference on a CPU, and where the large models run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from avatar_client.errors import MissingDependencyError
from numpy.typing import NDArray

from avatar_sdk.model import checkpoint
from avatar_sdk.model.inputs import noise, rope, sink_frame
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.guide import NetworkDraft, at_rest, guide_of
from avatar_sdk.warp import Warp, composite


@dataclass(eq=False)
class TorchState:
    """Everything one live avatar remembers."""

    seed: int
    warp: Warp
    sinks: list[Any]
    caches: list[Any]
    latent: Any
    decoder: list[Any]
    frame: int = 0


class TorchRuntime:
    """Implements `Runtime` with the modules themselves."""

    together = False
    delay = 0

    def __init__(self, path: Path) -> None:
        """Loads the checkpoint file `path`.

        Raises:
            InvalidConfigError: it cannot be used.
            MissingDependencyError: torch is not installed.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                "torch is not installed; install avatar-sdk[train] or avatar-sdk[gpu]"
            ) from error
        self._torch = torch
        self.model, header = checkpoint.load(path)
        checkpoint.check_stages(header.stages)
        self.name = header.config.name
        self.trained_stages = header.stages
        self.config = header.config

    def start(self, portrait: Portrait, seed: int = 0) -> TorchState:
        """Allocates the ring and computes the portrait's sink."""
        from avatar_sdk.model.cache import RingCache

        g = self.config.generator
        warp = Warp(portrait)
        caches = [RingCache(g.heads, g.tokens, g.window, g.head_dim) for _ in range(g.depth)]
        latent = self._torch.zeros(1, *g.latent_shape)
        return TorchState(seed, warp, self._sinks(warp, portrait), caches, latent, self.model.decoder.start())

    def replace_portrait(self, state: TorchState, portrait: Portrait) -> None:
        """Mutates `state` in place: another face, the same motion so far."""
        state.warp = Warp(portrait)
        state.sinks = self._sinks(state.warp, portrait)

    def predict(self, state: TorchState, motion: Motion) -> NetworkDraft:
        """Warp and generator."""
        from avatar_sdk.model.avatar import one_step

        torch, g = self._torch, self.config.generator
        started = time.perf_counter_ns()
        frame = state.warp.step(motion)
        warped = time.perf_counter_ns()
        guide = guide_of(frame)
        with torch.inference_mode():
            eps = torch.from_numpy(noise(g, state.seed, state.frame))[None]
            ropes = tuple(
                tuple(torch.from_numpy(part) for part in rope(g, position))
                for position in (state.frame, sink_frame(g, state.frame))
            )
            condition = self.model.conditioner(self._planes(guide))
            index = torch.tensor([state.frame])
            v = self.model.generator(
                eps, state.latent, condition, torch.ones(1), index, state.sinks, state.caches, ropes=ropes
            )
            state.latent = one_step(eps, v)
        state.frame += 1
        done = time.perf_counter_ns()
        timings = {"warp": (warped - started) // 1000, "generator": (done - warped) // 1000}
        return NetworkDraft(frame, guide, state.latent.numpy(), timings)

    def render(self, state: TorchState, draft: NetworkDraft) -> NDArray[np.uint8]:
        """Decoder and compositor."""
        torch = self._torch
        started = time.perf_counter_ns()
        with torch.inference_mode():
            residual, state.decoder = self.model.decoder(
                torch.from_numpy(draft.latent), self._planes(draft.guide), state.decoder
            )
        values = np.ascontiguousarray(residual[0].permute(1, 2, 0).numpy())
        decoded = time.perf_counter_ns()
        image = composite(draft.frame, values)
        done = time.perf_counter_ns()
        draft.timings_us.update(decode=(decoded - started) // 1000, composite=(done - decoded) // 1000)
        return image

    def close(self, state: TorchState) -> None:
        """Nothing is held outside `state`."""

    def _planes(self, guide: NDArray[np.uint8]) -> Any:
        from avatar_sdk.model.conditioner import guide_from_bytes

        return guide_from_bytes(self._torch.from_numpy(guide))

    def _sinks(self, warp: Warp, portrait: Portrait) -> list[Any]:
        with self._torch.inference_mode():
            condition = self.model.conditioner(self._planes(guide_of(warp.step(at_rest(portrait)))))
            return list(self.model.generator.sink(condition))
