"""Eyes that open wider than the portrait's: the white and the iris are painted where the photo shows only lids.

An eye that is about as open as in the portrait keeps the portrait's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT
from avatar_sdk.warp.light import skin_colour

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class EyeConfig:
    """When an eye is painted.

    Attributes:
        opens: by how much it must be more open than in the portrait, from and to. Unit: eye widths.
        looks: how far the iris must have moved between the corners and the lids, from and to. Unit: eye widths.
        softness: blur of what is painted, for a photo is never as sharp as a drawing. Unit: eye widths.
    """

    opens: tuple[float, float] = (0.02, 0.1)
    looks: tuple[float, float] = (0.08, 0.25)
    softness: float = 0.06


class Eyes:
    """Both eyes of one portrait."""

    def __init__(self, portrait: Portrait, config: EyeConfig | None = None) -> None:
        config = config or EyeConfig()
        self._eyes = [
            _Eye(portrait, lids, iris, config) for lids, iris in ((EYE_RIGHT, IRIS_RIGHT), (EYE_LEFT, IRIS_LEFT))
        ]

    def paint(self, image: Pixels, motion: Motion) -> None:
        """Paints into `image` (H, W, 3) uint8 RGB, mutated, where an eye is wider open than in the portrait."""
        for eye in self._eyes:
            eye.paint(image, motion.landmarks)


class _Eye:
    def __init__(self, portrait: Portrait, lids: Indices, iris: Indices, config: EyeConfig) -> None:
        self._lids, self._iris, self._config = lids, iris, config
        points = portrait.landmarks
        self._opening = _opening(points, lids)
        self._gaze = _gaze(points, lids, iris)
        skin = skin_colour(portrait)
        white = 0.35 * skin + 0.65 * np.float32(1.25 * skin.mean())
        self._colours = np.stack([white, self._iris_colour(portrait, skin)]).clip(0, 255).astype(np.float32)

    def _iris_colour(self, portrait: Portrait, skin: Floats) -> Floats:
        """The colour of the visible iris; of a hidden one, dark."""
        points = portrait.landmarks[:, :2]
        mask = np.zeros(portrait.image.shape[:2], np.uint8)
        radius = float(np.linalg.norm(points[self._iris[1:]] - points[self._iris[0]], axis=1).mean())
        centre = points[self._iris[0]].round().astype(int).tolist()
        cv2.circle(mask, centre, max(1, round(0.85 * radius)), 1, -1)
        lids = np.zeros_like(mask)
        cv2.fillPoly(lids, [points[self._lids].round().astype(np.int32)], 1)
        seen = portrait.image[(mask & lids) > 0].astype(np.float32)
        if len(seen) < 8:
            return np.float32(0.35) * skin
        return np.asarray(np.percentile(seen, 40, axis=0), np.float32)

    def paint(self, image: Pixels, points: Floats) -> None:
        low, high = self._config.opens
        wider = (_opening(points, self._lids) - self._opening - low) / (high - low)
        low, high = self._config.looks
        looks = float(np.linalg.norm(_gaze(points, self._lids, self._iris) - self._gaze))
        amount = float(np.clip(max(wider, (looks - low) / (high - low)), 0, 1))
        if amount <= 0:
            return
        lids = points[self._lids, :2]
        height, width = image.shape[:2]
        left, top = np.floor(lids.min(0) - 2).astype(int).clip(0, None)
        right, bottom = np.minimum(np.ceil(lids.max(0) + 3).astype(int), (width, height))
        if right - left < 3 or bottom - top < 3:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [np.round((lids - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        across = lids[8] - lids[0]
        half = max(float(np.linalg.norm(across)) / 2, 1.0)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.035 * half))
        across = across / (2 * half)
        down = np.array([-across[1], across[0]])
        if (lids[9:].mean(0) - lids[1:8].mean(0)) @ down < 0:
            down = -down
        frame = np.stack([across, down]) / half
        middle = (lids[0] + lids[8]) / 2
        to_eye = np.concatenate([frame, (frame @ ((left, top) - middle))[:, None]], 1).astype(np.float32)
        contour = (lids - middle) @ frame.T
        columns = np.linspace(-1, 1, 32)
        upper = np.interp(columns, np.maximum.accumulate(contour[:9, 0]), contour[:9, 1])
        back = np.concatenate([contour[8:], contour[:1]])[::-1]
        lower = np.interp(columns, np.maximum.accumulate(back[:, 0]), back[:, 1])
        iris = frame @ (points[self._iris[0], :2] - middle)
        radius = float(np.linalg.norm(points[self._iris[1:], :2] - points[self._iris[0], :2], axis=1).mean()) / half
        patch = image[top:bottom, left:right]
        painted = patch.copy()
        _paint(
            painted,
            mask,
            to_eye,
            np.stack([upper, lower]).astype(np.float32),
            np.array([iris[0], iris[1], radius], np.float32),
            self._colours,
        )
        painted = cv2.GaussianBlur(painted, (0, 0), max(0.3, 2 * half * self._config.softness))
        weight = (mask * np.float32(amount / 255))[..., None]
        patch[:] = patch + weight * (painted.astype(np.float32) - patch) + np.float32(0.5)


def _opening(points: Floats, lids: Indices) -> float:
    """Gap of the lids. Unit: eye widths."""
    gap = np.linalg.norm(points[lids[[3, 4, 5]]] - points[lids[[13, 12, 11]]], axis=1).mean()
    return float(gap / np.linalg.norm(points[lids[0]] - points[lids[8]]))


def _gaze(points: Floats, lids: Indices, iris: Indices) -> Floats:
    """Place of the iris against the middle of the corners. Unit: eye widths."""
    corners = points[lids[[0, 8]], :2]
    across = corners[1] - corners[0]
    offset = points[iris[0], :2] - corners.mean(0)
    turned = np.array([offset @ across, offset[1] * across[0] - offset[0] * across[1]])
    return np.asarray(turned / max(float(across @ across), 1.0), np.float32)


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _step(x: Any) -> Any:
    t = min(max(x, np.float32(0)), np.float32(1))
    return t * t * (np.float32(3) - np.float32(2) * t)


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _paint(image: Any, mask: Any, to_eye: Any, edges: Any, iris: Any, colours: Any) -> None:
    """Paints white, iris, pupil and the upper lid's shadow through `mask`."""
    one = np.float32(1)
    radius = max(iris[2], np.float32(0.05))
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            weight = np.float32(mask[y, x]) / np.float32(255)
            if weight < 0.004:
                continue
            across = to_eye[0, 0] * x + to_eye[0, 1] * y + to_eye[0, 2]
            below = to_eye[1, 0] * x + to_eye[1, 1] * y + to_eye[1, 2]
            place = min(max((across + one) / np.float32(2), np.float32(0)), one) * (edges.shape[1] - 1)
            i = min(int(place), edges.shape[1] - 2)
            top = edges[0, i] + np.float32(place - i) * (edges[0, i + 1] - edges[0, i])
            shade = np.float32(0.5) + np.float32(0.5) * _step((below - top) / np.float32(0.28))
            shade *= one - np.float32(0.3) * across * across
            dx, dy = across - iris[0], below - iris[1]
            apart = np.sqrt(dx * dx + dy * dy) / radius
            in_iris = one - _step((apart - np.float32(0.8)) / np.float32(0.4))
            in_pupil = one - _step((apart - np.float32(0.27)) / np.float32(0.26))
            rim = np.float32(0.7) + np.float32(0.3) * (one - _step((apart - np.float32(0.6)) / np.float32(0.4)))
            gx, gy = dx / radius + np.float32(0.22), dy / radius + np.float32(0.3)
            glint = one - _step((np.sqrt(gx * gx + gy * gy) - np.float32(0.08)) / np.float32(0.14))
            for k in range(3):
                colour = colours[0, k]
                colour += in_iris * (colours[1, k] * rim * (one - np.float32(0.75) * in_pupil) - colour)
                colour = colour * shade + np.float32(0.45) * glint * (np.float32(235) - colour)
                before = np.float32(image[y, x, k])
                after = before + weight * (colour - before) + np.float32(0.5)
                image[y, x, k] = np.uint8(min(max(after, np.float32(0)), np.float32(255)))
