"""Parts what was seen into takes: one shot, one face, no gap, long enough for a clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from training.prepare.config import PrepareConfig
from training.prepare.look import Look

JUMP: Final = 0.5
"""A face whose middle moves further than this between two frames is another one. Unit: face widths."""
GROWTH: Final = 1.4
"""So is one that is larger or smaller by more than this factor."""


class Fate(Enum):
    """What became of a frame; the values are for people."""

    KEPT = "kept"
    NO_FACE = "no face"
    SEVERAL_FACES = "several faces"
    SMALL_FACE = "small face"
    AT_THE_EDGE = "face out of the picture"
    SHORT = "too short"
    BETWEEN = "between clips"
    BLURRED = "blurred"
    STATIC = "no motion"
    NO_PORTRAIT = "no frame for a portrait"


@dataclass(frozen=True, eq=False)
class Take:
    """Frames in a row that can be used.

    Attributes:
        looks: the frames.
        shot: how many cuts were before it in the file.
    """

    looks: list[Look]
    shot: int


@dataclass(eq=False)
class Story:
    """What became of every frame so far, and where the cuts are.

    Attributes:
        fates: (frame number, time, fate), in the order in which they were decided.
        cuts_us: time of the first frame after each cut.
        shot: cuts so far, those before a resumed file's first frame included.
    """

    fates: list[tuple[int, int, Fate]] = field(default_factory=list)
    cuts_us: list[int] = field(default_factory=list)
    shot: int = 0

    def tell(self, seen: Iterable[Look], fate: Fate) -> None:
        """Notes the fate of some frames."""
        self.fates += [(look.index, look.time_us, fate) for look in seen]


def takes(
    seen: Iterable[Look], config: PrepareConfig, story: Story, stop: Callable[[], bool] = lambda: False
) -> Iterator[Take]:
    """Takes in the order of time; of all frames that belong to none, `story` is told why. Mutates `story`.

    When `stop` says so, the frames of the take that has begun are forgotten, and `story` is not told of them.
    """
    running: list[Look] = []
    last: Look | None = None
    for look in seen:
        if stop():
            return
        if last is not None and (look.cut or _jumps(last, look, config)):
            yield from _closed(running, config, story)
            running = []
            story.shot += 1
            story.cuts_us.append(look.time_us)
        last = look
        fault = fault_of(look, config)
        if fault is None:
            running.append(look)
            # A second face may have come in since the last count, and what is left must be long enough for a clip.
            if len(running) >= config.take_frames + config.frames and look.counted:
                yield Take(running[: config.take_frames], story.shot)
                running = running[config.take_frames :]
        else:
            if fault is Fate.SEVERAL_FACES and look.counted:
                since = _since_count(running)
                story.tell(running[since:], fault)
                running = running[:since]
            yield from _closed(running, config, story)
            running = []
            story.tell([look], fault)
    yield from _closed(running, config, story)


def fault_of(look: Look, config: PrepareConfig) -> Fate | None:
    """Why a frame cannot be used whatever stands beside it; None = it can."""
    if look.face is None or look.measures is None:
        return Fate.NO_FACE
    if look.faces > 1:
        return Fate.SEVERAL_FACES
    left, top, right, bottom = look.box
    if look.face_px < config.min_face_px:
        return Fate.SMALL_FACE
    height, width = look.image.shape[:2]
    if max(-left, -top, right - width, bottom - height) > config.edge * look.face_px:
        return Fate.AT_THE_EDGE
    return None


def _closed(running: list[Look], config: PrepareConfig, story: Story) -> Iterator[Take]:
    if len(running) >= config.frames:
        yield Take(running, story.shot)
    else:
        story.tell(running, Fate.SHORT)


def _since_count(running: list[Look]) -> int:
    """Index of the first frame after the last count of faces."""
    for k in range(len(running) - 1, -1, -1):
        if running[k].counted:
            return k + 1
    return 0


def _jumps(before: Look, now: Look, config: PrepareConfig) -> bool:
    """Whether this can hardly be the same face."""
    if before.measures is None or now.measures is None:
        return False
    growth = now.measures.width / before.measures.width
    moved = math.hypot(*(now.measures.centre - before.measures.centre)[:2].tolist())
    patience = max(1.0, (now.time_us - before.time_us) / 1e6 * config.fps)
    return moved > JUMP * patience * before.measures.width or not GROWTH**-patience < growth < GROWTH**patience


def motion_of(looks: list[Look]) -> float:
    """How much the landmarks move: mean deviation over time. Unit: face sizes."""
    faces = np.stack([look.face[:, :2] for look in looks if look.face is not None])
    size = float(np.ptp(faces[0], 0).max())
    return float(faces.std(0).mean() / max(size, 1e-6))
