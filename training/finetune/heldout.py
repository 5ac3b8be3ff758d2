"""The end of a clip that was not learned from, driving a portrait from the part that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.capture import VideoSource
from avatar_client.pose import Pose
from numpy.typing import NDArray

from avatar_sdk.driver import frame_count
from avatar_sdk.portrait import PortraitReader
from training.errors import DataError
from training.evaluate.reel import Reel
from training.prepare.clips import Chosen, portrait_of
from training.prepare.config import PrepareConfig
from training.prepare.look import look_at, looks, reduced
from training.prepare.preparation import chooser
from training.prepare.record import VideoRecord
from training.prepare.segments import Story, Take, takes

Pixels = NDArray[np.uint8]

SHORTEST: Final = 12
"""Frames of a held-out take that still tell something."""
LONGEST: Final = 192


def held_out(
    records: Sequence[VideoRecord], config: PrepareConfig, reader: PortraitReader, photo: Path | None = None
) -> list[Reel]:
    """The first usable take behind the share of each video that was prepared; videos that have none are left out.

    The portrait is the photo if there is one; else the best frame of the part that was learned from, if there is no cut
    in between; else the take's own.

    Raises:
        InvalidPortraitError: the photo cannot be used.
        InvalidVideoError: a video can no longer be read.
    """
    reels = []
    behind = replace(config, frames=SHORTEST, take_frames=LONGEST, share=1.0)
    choose = chooser(photo, behind, reader)
    for record in records:
        if not record.clips or not record.fps:
            continue
        path = Path(record.path)
        whole_s = frame_count(path, record.fps) / record.fps
        seen = looks(path, behind, reader, span_s=(config.share * whole_s, np.inf))
        take = next(takes(seen, behind, Story()), None)
        seen.close()
        if take is None:
            continue
        known = None if photo else _learned_from(path, record, take, config, reader)
        if (chosen := known or choose(take)) is not None:
            reels.append(_reel(path, record, take, chosen))
    return reels


def _learned_from(
    path: Path, record: VideoRecord, take: Take, config: PrepareConfig, reader: PortraitReader
) -> Chosen | None:
    """The best portrait of the last shot that was learned from, if the held-out take goes on with that shot."""
    last_shot = [one for one in record.takes if one.shot == len(record.cuts_s)]
    if take.shot or not last_shot:
        return None
    best = min(last_shot, key=lambda one: one.score)
    look = look_at(_frame(path, best.portrait_frame, config.side_px), best.portrait_frame)
    return None if look is None else Chosen(look, portrait_of(look.image, config, reader), best.score)


def _reel(path: Path, record: VideoRecord, take: Take, chosen: Chosen) -> Reel:
    """The portrait's frame comes first: its pose is the neutral one."""
    before_us = max(0, take.looks[0].time_us - round(1e6 / record.fps))
    rows = [(before_us, chosen.look), *((look.time_us, look) for look in take.looks)]
    poses = [Pose(time_us, look.face) for time_us, look in rows if look.face is not None]
    frames = [chosen.coloured(look.image) for _, look in rows]
    return Reel(path.stem, frames, poses, record.fps, chosen.portrait)


def _frame(path: Path, number: int, side_px: int) -> Pixels:
    with VideoSource(path) as video:
        for index, (image, _) in enumerate(video):
            if index == number:
                return reduced(image, side_px)
    raise DataError(f"{path} has no frame {number} any more; it has changed: use another --run")
