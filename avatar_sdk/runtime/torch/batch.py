"""Many live sessions on one device, all stepped by one tick.

Sessions join and leave between ticks. What a session shows depends on its own portrait, seed and motions only, not on
who else is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from avatar_client.errors import InvalidConfigError, NoCapacityError
from numpy.typing import NDArray

from avatar_sdk.model import checkpoint
from avatar_sdk.model.avatar import AvatarModel
from avatar_sdk.model.presets import PRESETS
from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.portrait.framing import margin_px
from avatar_sdk.runtime.guide import at_rest, guide_of
from avatar_sdk.runtime.torch.attention import choose_attention
from avatar_sdk.runtime.torch.config import PRECISIONS, BatchConfig, check_device, check_memory
from avatar_sdk.runtime.torch.feed import Feed
from avatar_sdk.runtime.torch.motions import is_usable
from avatar_sdk.runtime.torch.network import BatchNetwork, Memory
from avatar_sdk.runtime.torch.photos import Photos
from avatar_sdk.runtime.torch.program import Mark, Program, Shown
from avatar_sdk.topology import LANDMARKS
from avatar_sdk.warp import Warp, tables_of

Pixels = NDArray[np.uint8]

BATCHED: Final = ("lite", "test")
"""Presets whose sessions are stepped together."""


@dataclass(eq=False)
class Seat:
    """One live session's place.

    Attributes:
        slot: where the device keeps it.
        seed: of its noise.
        motion: the last one that could be used; a broken one repeats it.
        frame: index of its next frame.
        held: how many motions were broken.
        open: whether it takes part.
    """

    slot: int
    seed: int
    motion: Motion
    frame: int = 0
    held: int = 0
    open: bool = True


@dataclass(frozen=True, eq=False)
class Tick:
    """What a tick made.

    Attributes:
        images: session → (H, W, 3) uint8 RGB, a view that the tick after the next one overwrites. Sessions that were
            closed have none.
        lost: sessions whose memory is no longer finite and shows the warp alone; close them.
        cut: sessions whose mesh asked for more tiles than there are, so that its far parts are missing.
        engine_us: from the first byte uploaded to the last picture on the host.
    """

    images: dict[Seat, Pixels]
    lost: tuple[Seat, ...]
    cut: tuple[Seat, ...]
    engine_us: int


class BatchRuntime:
    """Steps up to `slots` sessions per tick. Calls from several threads wait for each other."""

    def __init__(self, model: AvatarModel, config: BatchConfig, trained_stages: tuple[str, ...] = ()) -> None:
        """Allocates every slot and, on CUDA, chooses the attention and captures all buckets.

        Raises:
            InvalidConfigError: the device cannot be used.
            MissingDependencyError: it is not there.
        """
        check_device(config.device)
        cuda = torch.device(config.device).type == "cuda"
        self.config, self.trained_stages = config, trained_stages
        self.name = model.config.name
        g = model.config.generator
        if config.compiled:
            for part in ("conditioner", "generator", "decoder"):
                getattr(model, part).compile(dynamic=False)
        places = config.slots + 1
        self._nobody = config.slots
        photo = (config.height_px, config.width_px, margin_px(config.width_px, config.height_px))
        self._index = torch.device(config.device).index or 0
        if cuda:
            torch.cuda.set_device(self._index)
            each = Memory(model, 1, "meta").bytes + Photos(1, *photo, "meta").bytes
            check_memory(places * each, torch.cuda.mem_get_info()[0], config.slots)
        model = model.to(config.device).eval().requires_grad_(False)
        dtype = PRECISIONS[config.precision]
        self.attention = choose_attention(g, config.slots, config.device, dtype)
        self._photos = Photos(places, *photo, config.device)
        self.network = BatchNetwork(model, places, config.device, dtype, self.attention)
        self._feed = Feed(g, config.slots, config.device)
        self.program = Program(self._feed, self._photos, self.network, graphs=cuda and config.graphs)
        shape = (config.slots, config.height_px, config.width_px, 3)
        self._frames = [torch.zeros(shape, dtype=torch.uint8, pin_memory=cuda) for _ in range(2)]
        self._report = torch.zeros(config.slots, 2, dtype=torch.int64, pin_memory=cuda)
        self._done = torch.cuda.Event() if cuda else None
        self._free = list(range(config.slots))[::-1]
        self._lock = threading.Lock()
        self._still = Motion(
            np.zeros((LANDMARKS, 3), np.float32), 1.0, np.eye(3, dtype=np.float32), np.zeros(3, np.float32)
        )
        self._fill(0, config.slots)
        self._feed.upload(config.slots)
        self.program.capture(config.buckets)
        self.network.memory.clear(self._nobody)

    @classmethod
    def load(cls, path: Path, config: BatchConfig) -> BatchRuntime:
        """Loads the checkpoint file `path`.

        Raises:
            InvalidConfigError: it cannot be used.
            MissingDependencyError: the device is not there.
        """
        check_device(config.device)
        model, header = checkpoint.load(path)
        checkpoint.check_stages(header.stages)
        return cls(model, config, header.stages)

    @classmethod
    def untrained(cls, preset: str, config: BatchConfig) -> BatchRuntime:
        """Random weights of a preset's shape, for measuring time.

        Raises:
            InvalidConfigError: no such preset, or one that is no `lite`.
            MissingDependencyError: the device is not there.
        """
        check_device(config.device)
        if preset not in BATCHED:
            raise InvalidConfigError(
                f"preset is {preset!r}; sessions are batched for {', '.join(BATCHED)}", field="preset"
            )
        return cls(AvatarModel.fresh(PRESETS[preset]), config)

    @property
    def free_slots(self) -> int:
        """Slots nobody holds."""
        return len(self._free)

    @property
    def open_seats(self) -> int:
        """Sessions that live."""
        return self.config.slots - len(self._free)

    def open(self, portrait: Portrait, seed: int = 0) -> Seat:
        """Takes a clean slot for a new session.

        Raises:
            NoCapacityError: every slot is taken.
            InvalidConfigError: the portrait has another size than the batch.
        """
        self._photos.check(portrait)
        with self._lock:
            if not self._free:
                raise NoCapacityError(
                    f"all {self.config.slots} slots of the batch are taken; close a session, or make it with more"
                )
            slot = self._free.pop()
        try:
            self._put(slot, portrait)
        except BaseException:
            with self._lock:
                self._free.append(slot)
            raise
        return Seat(slot, seed, at_rest(portrait))

    def replace_portrait(self, seat: Seat, portrait: Portrait) -> None:
        """Mutates `seat` in place: another face, the same past.

        Raises:
            InvalidConfigError: the portrait has another size than the batch.
        """
        self._photos.check(portrait)
        self._put(seat.slot, portrait)
        seat.motion = at_rest(portrait)

    def close(self, seat: Seat) -> None:
        """Gives the slot back, cleared of the person and of all that was remembered. Idempotent."""
        with self._lock:
            if not seat.open:
                return
            seat.open = False
            self._photos.clear(seat.slot)
            self.network.memory.clear(seat.slot)
            self._free.append(seat.slot)

    def tick(self, motions: Mapping[Seat, Motion], mark: Mark | None = None) -> Tick:
        """One frame for every session named. Mutates their seats.

        A motion with a number that is not finite, or out of all reason, repeats the session's last one. `mark` is told
        of the stages, which then run one by one instead of as a graph.
        """
        with self._lock:
            seats = [seat for seat in motions if seat.open]
            rows = next(size for size in self.config.buckets if size >= len(seats))
            for row, seat in enumerate(seats):
                self._take(seat, motions[seat])
                self._feed.write(row, seat.slot, seat.motion, seat.seed, seat.frame)
                seat.frame += 1
            self._fill(len(seats), rows)
            started = time.perf_counter_ns()
            if self._done is not None:
                torch.cuda.set_device(self._index)  # each thread has its own
            self._feed.upload(rows)
            shown = self.program.step(rows, mark) if mark else self.program.run(rows)
            frames, report = self._fetch(shown, len(seats))
            spent_us = (time.perf_counter_ns() - started) // 1000
            return Tick(
                images={seat: frames[row] for row, seat in enumerate(seats)},
                lost=tuple(seat for row, seat in enumerate(seats) if not report[row, 0]),
                cut=tuple(seat for row, seat in enumerate(seats) if report[row, 1] > self.program.warp.tiles),
                engine_us=spent_us,
            )

    def _fetch(self, shown: Shown, count: int) -> tuple[Pixels, NDArray[np.int64]]:
        """The pictures on the host; the one place of a tick that waits for the device."""
        self._frames.reverse()
        frames = self._frames[0][:count]
        frames.copy_(shown.frames[:count], non_blocking=True)
        self._report[:count].copy_(shown.report[:count], non_blocking=True)
        if self._done is not None:
            self._done.record()
            self._done.synchronize()
        return frames.numpy(), self._report.numpy()

    def _take(self, seat: Seat, motion: Motion) -> None:
        if is_usable(motion):
            seat.motion = motion
        else:
            seat.held += 1

    def _fill(self, first: int, rows: int) -> None:
        """Rows that nobody looks at complete the bucket."""
        for row in range(first, rows):
            self._feed.write(row, self._nobody, self._still, 0, 0)

    def _put(self, slot: int, portrait: Portrait) -> None:
        """Precomputes on the CPU, then copies between two ticks."""
        warp = Warp(portrait)
        tables, guide = tables_of(warp), guide_of(warp.step(at_rest(portrait)))
        with self._lock:
            self._photos.put(slot, tables)
            self.network.take_sink(slot, torch.from_numpy(guide).to(self.config.device))
