"""A step's graphs and streams: what is launched when, and how frames get back to the host.

On a GPU the next latent is computed on one CUDA stream while the last is decoded on another; frames leave one by one
through page-locked memory, and whoever fetches a frame waits for the device once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avatar_sdk.model.video.config import FRAMES
from avatar_sdk.runtime.torch.program import WARM_UPS
from avatar_sdk.runtime.torch.video.config import VideoConfig
from avatar_sdk.runtime.torch.video.source import TURNS
from avatar_sdk.runtime.torch.video.step import Kind, VideoStep

Pixels = NDArray[np.uint8]


class VideoProgram:
    """The step of every kind, captured or not."""

    def __init__(self, step: VideoStep, how: VideoConfig) -> None:
        self.step, self._how = step, how
        self._cuda = how.is_cuda
        self._pages = torch.zeros(TURNS, *step.frames.shape, dtype=torch.uint8, pin_memory=self._cuda)
        self._finite = torch.ones(TURNS, dtype=torch.bool, pin_memory=self._cuda)
        self._pictures, self._healthy = self._pages.numpy(), self._finite.numpy()
        self._predict: dict[Kind, torch.cuda.CUDAGraph] = {}
        self._render: dict[Kind, list[torch.cuda.CUDAGraph]] = {}
        if self._cuda:
            self._main, self._draw = torch.cuda.Stream(how.device), torch.cuda.Stream(how.device)
            self._ready, self._decoded = torch.cuda.Event(), torch.cuda.Event()
            self._done = [[torch.cuda.Event() for _ in range(FRAMES)] for _ in range(TURNS)]

    def capture(self) -> None:
        """Captures every kind. The step must have begun; what it remembers is lost.

        What runs on different streams at the same time shares no memory: the two halves have a pool each.
        """
        if not (self._cuda and self._how.graphs):
            return
        main, draw = self._main, self._draw
        pools = torch.cuda.graph_pool_handle(), torch.cuda.graph_pool_handle()
        for kind in Kind:
            torch.cuda.synchronize()
            with torch.cuda.stream(main):
                for _ in range(WARM_UPS):
                    self._whole(kind)
            if not self._how.overlapped:
                self._predict[kind] = _captured(partial(self._whole, kind), pools[0], main)
                continue
            self._predict[kind] = _captured(partial(self.step.predict, kind), pools[0], main)
            if kind is not Kind.FULL:  # whether the window is full is nothing to the decoder
                numbers = self.step.render(kind)
                self._render[kind] = [_captured(partial(next, numbers), pools[1], draw) for _ in range(kind.count)]
                assert next(numbers, None) is None, "all frames were captured"
        if self._render:
            self._render[Kind.FULL] = self._render[Kind.WARMING]
        torch.cuda.synchronize()

    def launch(self, turn: int, kind: Kind) -> None:
        """Computes a step whose inputs lie in the feed's page `turn`; on a GPU, returns before it has begun."""
        if not self._cuda:
            self.step.feed.upload(turn)
            self._whole(kind)
            self._pages[turn].copy_(self.step.frames)
            self._finite[turn].copy_(self.step.finite)
            return
        torch.cuda.set_device(self._main.device)  # each thread has its own
        step, main, draw = self.step, self._main, self._draw if self._how.overlapped else self._main
        with torch.cuda.stream(main):
            step.feed.upload(turn)
            if self._how.overlapped:
                self._run(self._predict.get(kind), lambda: step.predict(kind))
                main.wait_event(self._decoded)  # what was shown before has been read
                step.show()
            else:
                self._run(self._predict.get(kind), lambda: self._whole(kind))
            self._finite[turn].copy_(step.finite, non_blocking=True)
            self._ready.record(main)
        with torch.cuda.stream(draw):
            draw.wait_event(self._ready)
            for i in self._draw_frames(kind):
                self._pages[turn, i].copy_(step.frames[i], non_blocking=True)
                self._done[turn][i].record(draw)
            self._decoded.record(draw)

    def fetch(self, turn: int, kind: Kind) -> Iterator[Pixels]:
        """The frames (H, W, 3) uint8 RGB of a launched step, each as soon as it is there; overwritten two steps on."""
        for i in range(kind.count):
            if self._cuda:
                self._done[turn][i].synchronize()
            yield self._pictures[turn, i]

    def is_finite(self, turn: int) -> bool:
        """Whether a step whose first frame was fetched made a latent that is a number."""
        return bool(self._healthy[turn])

    def _whole(self, kind: Kind) -> None:
        self.step.predict(kind)
        self.step.show()
        for _ in self.step.render(kind):
            pass

    def _draw_frames(self, kind: Kind) -> Iterator[int]:
        """Each frame's number, when its work has been given to the device."""
        if not self._how.overlapped:  # the whole step's graph has drawn them
            yield from range(kind.count)
        elif kind in self._render:
            for i, graph in enumerate(self._render[kind]):
                graph.replay()
                yield i
        else:
            yield from self.step.render(kind)

    @staticmethod
    def _run(graph: torch.cuda.CUDAGraph | None, work: Callable[[], None]) -> None:
        if graph is None:
            work()
        else:
            graph.replay()


def replayable(work: Callable[[], object], how: VideoConfig) -> Callable[[], object]:
    """Work of static shapes alone, captured where `how` has graphs; it is run a few times for that."""
    if not (how.is_cuda and how.graphs):
        return work
    stream = torch.cuda.Stream(how.device)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    return _captured(work, torch.cuda.graph_pool_handle(), stream).replay


def _captured(work: Callable[[], object], pool: Any, stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    # What other threads of a service do with CUDA meanwhile is nothing to this capture.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        work()
    return graph
