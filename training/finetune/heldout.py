"""The end of a clip that was not learned from, driving a portrait from the part that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.capture import VideoSource
from avatar_client.pose import Pose
from avatar_client.tracking import PoseTracker
from numpy.typing import NDArray

from avatar_sdk.driver import frame_count
from avatar_sdk.portrait import Portrait, PortraitReader
from training.errors import DataError
from training.evaluate.reel import Reel
from training.prepare.clips import choose_portrait, portrait_of
from training.prepare.config import PrepareConfig
from training.prepare.look import TRACKING, looks, reduced
from training.prepare.record import VideoRecord
from training.prepare.segments import Story, Take, takes

Pixels = NDArray[np.uint8]
Start = tuple[Pixels, Pose, Portrait]
"""A frame of the camera, its pose, and the portrait made of it."""

SHORTEST: Final = 12
"""Frames of a held-out take that still tell something."""
LONGEST: Final = 192


def held_out(records: Sequence[VideoRecord], config: PrepareConfig, reader: PortraitReader) -> list[Reel]:
    """The first usable take behind the share of each video that was prepared; videos that have none are left out.

    The portrait is the best frame of the part that was learned from, if there is no cut in between; else the take's.

    Raises:
        InvalidVideoError: a video can no longer be read.
    """
    reels = []
    for record in records:
        if not record.clips or not record.fps:
            continue
        path = Path(record.path)
        whole_s = frame_count(path, record.fps) / record.fps
        behind = replace(config, frames=SHORTEST, take_frames=LONGEST, share=1.0)
        seen = looks(path, behind, reader, span_s=(config.share * whole_s, np.inf))
        take = next(takes(seen, behind, Story()), None)
        seen.close()
        if take is None:
            continue
        start = _learned_from(path, record, take, config, reader) or _own(take, behind, reader)
        if start is not None:
            reels.append(_reel(path, record, take, start))
    return reels


def _learned_from(
    path: Path, record: VideoRecord, take: Take, config: PrepareConfig, reader: PortraitReader
) -> Start | None:
    """The best portrait of the last shot that was learned from, if the held-out take goes on with that shot."""
    last_shot = [one for one in record.takes if one.shot == len(record.cuts_s)]
    if take.shot or not last_shot:
        return None
    best = min(last_shot, key=lambda one: one.score)
    image = _frame(path, best.portrait_frame, config.side_px)
    with PoseTracker(TRACKING) as tracker:
        pose = tracker.track(image, 0)
    return (image, pose, portrait_of(image, config, reader)) if pose.face_present else None


def _own(take: Take, config: PrepareConfig, reader: PortraitReader) -> Start | None:
    chosen = choose_portrait(take, config, reader)
    if chosen is None or chosen.look.face is None:
        return None
    return chosen.look.image, Pose(0, chosen.look.face), chosen.portrait


def _reel(path: Path, record: VideoRecord, take: Take, start: Start) -> Reel:
    """The portrait's frame comes first: its pose is the neutral one."""
    image, pose, portrait = start
    before_us = max(0, take.looks[0].time_us - round(1e6 / record.fps))
    poses = [replace(pose, timestamp_us=before_us)]
    poses += [Pose(look.time_us, look.face) for look in take.looks if look.face is not None]
    return Reel(path.stem, [image, *(look.image for look in take.looks)], poses, record.fps, portrait)


def _frame(path: Path, number: int, side_px: int) -> Pixels:
    with VideoSource(path) as video:
        for index, (image, _) in enumerate(video):
            if index == number:
                return reduced(image, side_px)
    raise DataError(f"{path} has no frame {number} any more; it has changed: use another --run")
