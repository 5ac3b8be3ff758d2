"""A photo of the same person as the portrait of every take, instead of one of the take's own frames.

H rows, W columns.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.portrait import Portrait
from avatar_sdk.topology import MESH_LANDMARKS, OVAL, RIGID
from training.prepare.clips import Chosen
from training.prepare.look import Look
from training.prepare.segments import Take

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

MISFIT: Final = 0.035
"""Mean distance of the landmarks of a frame, laid over the photo, beyond which it does not match. Unit: face widths.
Another angle, another grimace and most other people are further away than that.
"""
GAINS: Final = (0.4, 2.5)
"""Colours are changed no further than by these factors."""


class PhotoMatcher:
    """Finds the frame in which a person looks most as in the photo, and lays the video over the photo."""

    def __init__(self, photo: Portrait) -> None:
        self._photo = photo
        self._points = photo.landmarks[:MESH_LANDMARKS, :2].astype(np.float64)
        self._mask = np.zeros(photo.image.shape[:2], np.uint8)
        cv2.fillPoly(self._mask, [cv2.convexHull(photo.landmarks[OVAL, :2]).round().astype(np.int32)], 1)

    def choose(self, take: Take) -> Chosen | None:
        """The photo, and the frame that matches it best; None = none does. Score: 0 = the same face, 1 = the limit."""
        laid = [self._lay(look) for look in take.looks]
        misfit, k = min((misfit, k) for k, (_, misfit) in enumerate(laid))
        if misfit > MISFIT:
            return None
        look, affine = take.looks[k], laid[k][0]
        return Chosen(look, replace(self._photo, affine=affine), misfit / MISFIT, self._levels(look, affine))

    def _lay(self, look: Look) -> tuple[Floats, float]:
        """(2, 3) pixels of the frame → pixels of the portrait, by what moves with the skull; and how ill they fit."""
        assert look.face is not None
        face = look.face[:, :2] * look.image.shape[1] - 0.5
        target = np.ascontiguousarray(self._photo.landmarks[RIGID, :2])
        affine, _ = cv2.estimateAffinePartial2D(face[RIGID].astype(np.float32), target, method=cv2.LMEDS)
        if affine is None:
            return np.zeros((2, 3), np.float32), math.inf
        apart = face[:MESH_LANDMARKS] @ affine[:, :2].T + affine[:, 2] - self._points
        misfit = float(np.linalg.norm(apart, axis=1).mean() / np.ptp(self._points[:, 0]))
        return affine.astype(np.float32), misfit

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
