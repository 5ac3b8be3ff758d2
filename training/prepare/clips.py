"""A take's portrait, and the clips in which it is driven by the rest of the take."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
from avatar_client.errors import InvalidPortraitError
from avatar_client.tracking import quiet_mediapipe
from PIL import Image

from avatar_sdk.motion.neutral import NeutralSearch
from avatar_sdk.portrait import Portrait, PortraitConfig, PortraitReader, load_portrait
from training.data.clip import Clip
from training.pairs import Footage, driven_by_itself, make_clip
from training.prepare.config import PrepareConfig
from training.prepare.look import Look, Pixels
from training.prepare.segments import Fate, Story, Take, motion_of

CANDIDATES: Final = 3
"""So many of the best frames are tried as portraits."""
HEAD_ABOVE: Final = 0.35
HEAD_BESIDE: Final = 0.15
"""How far hair and ears reach beyond the face. Unit: face sizes."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """A take's portrait.

    Attributes:
        look: the frame.
        portrait: made of it.
        score: 0 = looks straight ahead, eyes open, mouth at rest; 1 = clearly not. For a photo: 0 = the frame matches.
        levels: (256, 1, 3) uint8, what the video's colours become; None = what they are.
    """

    look: Look
    portrait: Portrait
    score: float
    levels: Pixels | None = None

    def coloured(self, image: Pixels) -> Pixels:
        """A frame of the video in the portrait's colours."""
        return image if self.levels is None else np.asarray(cv2.LUT(image, self.levels), np.uint8)


def choose_portrait(take: Take, config: PrepareConfig, reader: PortraitReader) -> Chosen | None:
    """The frame that is nearest to a good photo: straight, eyes open, mouth at rest, sharp; None = none will do."""
    ranked = sorted(zip(portrait_scores(take.looks), range(len(take.looks)), strict=True))
    for score, k in ranked[:CANDIDATES]:
        if score > config.neutral:
            break
        look = take.looks[k]
        try:
            return Chosen(look, portrait_of(look.image, config, reader), score)
        except InvalidPortraitError:
            continue
    return None


def portrait_scores(looks: list[Look]) -> list[float]:
    """Of each frame; 0 = the best photo. How wide eyes open and how wide a mouth is at rest is learned from all."""
    measures = [look.measures for look in looks]
    lids = [m.lid_opening for m in measures if m is not None]
    widths = [m.mouth_width for m in measures if m is not None]
    usual = NeutralSearch(open_eyes=float(np.percentile(lids, 80)), mouth_width=median(widths))
    sharpest = min(look.blur for look in looks)
    return [
        math.inf if m is None else usual.score(m) + 10 * (look.blur - sharpest) + 4 * _lack(look)
        for look, m in zip(looks, measures, strict=True)
    ]


def portrait_of(image: Pixels, config: PrepareConfig, reader: PortraitReader) -> Portrait:
    """A frame of a video, made ready as an uploaded photo is.

    Raises:
        InvalidPortraitError: no face is found when the frame is looked at alone, or too small a one.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    width_px, height_px = config.portrait_size
    framed = PortraitConfig(width_px, height_px, config.framing)
    with quiet_mediapipe():  # it builds a graph anew for every photo, and says so
        return load_portrait(buffer.getvalue(), framed, reader)


def clip_starts(count: int, config: PrepareConfig) -> list[int]:
    """First frames of the clips in a take of `count` frames: evenly spread, so that its end is used too."""
    room = count - config.frames
    clips = math.ceil(room / (config.step or config.frames)) + 1
    return np.linspace(0, room, clips).round().astype(int).tolist()


def clips_of(
    take: Take, chosen: Chosen, name: str, info: dict[str, Any], config: PrepareConfig, known: set[str], story: Story
) -> Iterator[tuple[str, Clip | None]]:
    """Names and clips of a take; None for those that are in `known` already. Tells `story` of every frame.

    Args:
        take: the frames.
        chosen: its portrait.
        name: of the video; clips are called NAME-FRAME.
        info: where it comes from.
        config: what is a clip.
        known: names of clips that are stored.
        story: of the video.
    """
    fates = [Fate.BETWEEN] * len(take.looks)
    good = []
    for start in clip_starts(len(take.looks), config):
        part = take.looks[start : start + config.frames]
        if (fate := judge(part, config)) is Fate.KEPT:
            good.append(part)
        for k in range(start, start + config.frames):
            if fates[k] is not Fate.KEPT:
                fates[k] = fate
    for look, fate in zip(take.looks, fates, strict=True):
        story.tell([look], fate)
    for part in good:
        own = f"{name}-{part[0].index:07d}"
        yield own, None if own in known else _clip(own, part, chosen, info, config.picture is not None)


def judge(looks: list[Look], config: PrepareConfig) -> Fate:
    """Whether a clip is worth learning from."""
    if median(look.blur for look in looks) > config.blur:
        return Fate.BLURRED
    return Fate.STATIC if motion_of(looks) < config.motion else Fate.KEPT


def _lack(look: Look) -> float:
    """How much of the head above and beside the face lies outside the picture. Unit: face sizes."""
    left, top, right, _ = look.box
    above, beside = HEAD_ABOVE * look.face_px, HEAD_BESIDE * look.face_px
    return max(0.0, above - top, beside - left, right + beside - look.image.shape[1]) / look.face_px


def _clip(name: str, looks: list[Look], chosen: Chosen, info: dict[str, Any], whole: bool) -> Clip:
    assert chosen.look.face is not None
    footage = Footage(
        frames=[chosen.coloured(look.image) for look in looks],
        faces=np.stack([look.face for look in looks if look.face is not None]),
        times_us=np.array([look.time_us for look in looks], np.int64),
        affine=chosen.portrait.affine,
        neutral=chosen.look.face,
    )
    where = {"frame": looks[0].index, "from_s": looks[0].time_us / 1e6, "portrait_frame": chosen.look.index}
    return make_clip(name, chosen.portrait, footage, driven_by_itself(), {**info, **where}, whole=whole)
