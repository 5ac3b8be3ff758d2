"""A photo of the same person as the portrait of every take, instead of one of the take's own frames.

H rows, W columns.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from avatar_client.errors import InvalidPortraitError
from numpy.typing import NDArray

from avatar_sdk.motion.measures import Measures
from avatar_sdk.portrait import Portrait
from avatar_sdk.topology import OVAL, RIGID
from training.prepare.clips import Chosen
from training.prepare.look import Look
from training.prepare.segments import Take

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

TURN: Final = 0.25
LIPS: Final = 0.05
LIDS: Final = 0.15
"""A frame that differs so much from the photo, in radians, face widths and eye widths, is no match: it scores 1."""
GAINS: Final = (0.4, 2.5)
"""Colours are changed no further than by these factors."""


class PhotoMatcher:
    """Finds the frame in which a person looks most as in the photo, and lays the video over the photo."""

    def __init__(self, photo: Portrait) -> None:
        """Measures the photo.

        Raises:
            InvalidPortraitError: its landmarks are no face.
        """
        measures = Measures.of(photo.landmarks)
        if measures is None:
            raise InvalidPortraitError("the photo's landmarks are no face; use another photo", field="portrait")
        self._photo, self._measures = photo, measures
        self._mask = np.zeros(photo.image.shape[:2], np.uint8)
        cv2.fillPoly(self._mask, [cv2.convexHull(photo.landmarks[OVAL, :2]).round().astype(np.int32)], 1)

    def choose(self, take: Take, most: float) -> Chosen | None:
        """The photo, with the frame that matches it; None = none of the take matches better than `most`."""
        score, k = min((self.score(look), k) for k, look in enumerate(take.looks))
        look = take.looks[k]
        if score > most or (affine := self._affine(look)) is None:
            return None
        return Chosen(look, replace(self._photo, affine=affine), score, self._levels(look, affine))

    def score(self, look: Look) -> float:
        """How far head, lips and lids are from the photo's; 0 = the same."""
        mine, theirs = self._measures, look.measures
        if theirs is None:
            return math.inf
        cosine = (float(np.trace(mine.axes.T @ theirs.axes)) - 1) / 2
        turn = math.acos(min(1.0, max(-1.0, cosine)))
        lips, lids = abs(mine.lip_opening - theirs.lip_opening), abs(mine.lid_opening - theirs.lid_opening)
        return turn / TURN + lips / LIPS + lids / LIDS

    def _affine(self, look: Look) -> Floats | None:
        """(2, 3): pixels of the frame → pixels of the portrait, by the points that move with the skull."""
        assert look.face is not None
        source = look.face[RIGID, :2] * look.image.shape[1] - 0.5
        target = np.ascontiguousarray(self._photo.landmarks[RIGID, :2])
        affine, _ = cv2.estimateAffinePartial2D(source.astype(np.float32), target, method=cv2.LMEDS)
        return None if affine is None else np.asarray(affine, np.float32)

    def _levels(self, look: Look, affine: Floats) -> Pixels:
        """(256, 1, 3): levels that give the face in the video the photo's exposure and white balance.

        One factor per channel: contrast would be matched on the face alone, and go astray far from its colours.
        """
        height, width = self._mask.shape
        seen = cv2.warpAffine(look.image, affine, (width, height), borderMode=cv2.BORDER_REPLICATE)
        inside = self._mask > 0
        theirs, mine = seen[inside].astype(np.float64), self._photo.image[inside].astype(np.float64)
        gain = (mine.mean(0) / np.maximum(theirs.mean(0), 1.0)).clip(*GAINS)
        levels = np.arange(256)[:, None] * gain
        return levels.round().clip(0, 255).astype(np.uint8)[:, None]
