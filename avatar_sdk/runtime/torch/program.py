"""One tick as a program of fixed shape: run as it is on a CPU, captured once and replayed as a CUDA graph on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from avatar_sdk.model.conditioner import guide_from_bytes
from avatar_sdk.runtime.torch.composite import Compositor
from avatar_sdk.runtime.torch.feed import Feed
from avatar_sdk.runtime.torch.network import BatchNetwork
from avatar_sdk.runtime.torch.photos import Photos
from avatar_sdk.runtime.torch.warp import BatchWarp

Mark = Callable[[str], None]
"""Told the name of a stage when all of its work has been given to the device."""
WARM_UPS: Final = 3
"""Runs before a capture, in which libraries choose their kernels."""


class Shown(NamedTuple):
    """What a tick makes, on the device.

    Attributes:
        frames: (B, H, W, 3) uint8 RGB.
        report: (B, 2) int64: 1 if the session's latent is finite, and tiles wanted by its mesh.
    """

    frames: Tensor
    report: Tensor


class Program:
    """The step of every bucket."""

    def __init__(self, feed: Feed, photos: Photos, network: BatchNetwork, *, graphs: bool) -> None:
        """`graphs`: whether buckets are captured; needs a CUDA device."""
        self._feed, self._network, self._graphs = feed, network, graphs
        self.warp = BatchWarp(photos)
        self._composite = Compositor(photos.height, photos.width, photos.device)
        self._captured: dict[int, tuple[torch.cuda.CUDAGraph, Shown]] = {}

    def step(self, rows: int, mark: Mark = lambda _: None) -> Shown:
        """Runs the first `rows` of the feed: warp, generator, decode, composite."""
        with torch.inference_mode():
            motion, at = self._feed.read(self._feed.floats[:rows])
            slot_B, turn_B = self._feed.slots[:rows].unbind(1)
            warped = self.warp.step(motion, slot_B)
            guide = guide_from_bytes(warped.crop.guide)
            mark("warp")
            latent = self._network.predict(guide, at, slot_B, turn_B)
            mark("generator")
            residual = self._network.render(latent, guide, slot_B)
            mark("decode")
            frames = self._composite.add(warped.image, residual, warped.crop.gate, warped.crop.affine)
            finite = torch.isfinite(latent).flatten(1).all(1)
            mark("composite")
            return Shown(frames, torch.stack([finite.long(), warped.needed], 1))

    def run(self, rows: int) -> Shown:
        """The same, replayed where the bucket was captured."""
        if not self._graphs:
            return self.step(rows)
        graph, shown = self._captured[rows]
        graph.replay()
        return shown

    def capture(self, buckets: Sequence[int]) -> None:
        """Captures every bucket, the largest first, which all share its memory.

        The feed must hold rows of the slot that is nobody's: capturing runs the step.
        """
        if not self._graphs:
            return
        pool = torch.cuda.graph_pool_handle()
        for rows in sorted(buckets, reverse=True):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    self.step(rows)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                shown = self.step(rows)
            self._captured[rows] = graph, shown
