"""The inside of the mouth: teeth stay on the skull while the lips move over them.

Where the portrait shows its teeth, those are moved rigidly with the head. What the photo cannot show, because its mouth
is less open, is painted: upper teeth, lower teeth, tongue and cavity. Nothing is painted where the mouth is about as
open as in the portrait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.topology import LIPS_INNER
from avatar_sdk.warp.light import skin_colour

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

COLUMNS: Final = 64
"""Samples of the lips' edges from corner to corner."""


@dataclass(frozen=True)
class MouthConfig:
    """How the inside of the mouth looks. Lengths in distances between the outer eye corners.

    Attributes:
        opens: by how much the mouth must be more open than in the portrait to be painted, from and to.
        closes: by how much less open, for the portrait's own teeth to be kept in place.
        shows_teeth: how open a portrait's mouth must be for its inside to be used, from and to.
        tooth_edge: how far below the closed lips the upper teeth end.
    """

    opens: tuple[float, float] = (0.015, 0.05)
    closes: tuple[float, float] = (0.01, 0.03)
    shows_teeth: tuple[float, float] = (0.025, 0.05)
    tooth_edge: float = 0.05


class Mouth:
    """One portrait's mouth."""

    def __init__(self, portrait: Portrait, config: MouthConfig | None = None) -> None:
        self._config = config = config or MouthConfig()
        points = portrait.landmarks
        self._image = portrait.image
        self._unit = unit = float(np.linalg.norm(points[33] - points[263]))
        lips = points[LIPS_INNER]
        across = points[308, :2] - points[78, :2]
        self._half_width = half_width = max(float(np.linalg.norm(across)) / 2, 1.0)
        across /= 2 * half_width
        frame = np.stack([across, [-across[1], across[0]]])
        self._depth = float(lips[:, 2].mean())
        self._opening = lip_opening(points)
        # Portrait pixels → mouth: x from corner to corner is [-1, 1], y is in units below the upper lip's edge.
        upper, middle = points[13, :2], (points[78, :2] + points[308, :2]) / 2
        scale = np.array([[1 / half_width], [1 / unit]])
        linear = frame * scale
        origin = np.array([frame[0] @ middle, frame[1] @ upper]) * scale[:, 0]
        self._to_mouth = np.concatenate([linear, -origin[:, None]], 1)
        low, high = config.shows_teeth
        own = float(np.clip((self._opening - low) / (high - low), 0, 1))
        mask = np.zeros(portrait.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(lips[:, :2] * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        soft = max(0.6, 0.006 * unit)
        inside = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), soft)
        self._own_teeth = (inside * own).astype(np.uint8)
        skin = skin_colour(portrait)
        light = float(np.clip(skin.mean() / 170, 0.15, 1.15))
        tint = ((skin + 60) / (skin.mean() + 60)) ** 0.5
        colours = np.array([[212, 180, 168], [100, 54, 56], [170, 98, 104]], np.float32)
        self._colours = (colours * light * tint).clip(0, 255).astype(np.float32)
        edge = max(config.tooth_edge, 0.8 * self._opening * own)
        self._shape = np.array([edge, 0.5 * config.tooth_edge, unit / half_width], np.float32)

    def paint(self, image: Pixels, motion: Motion) -> None:
        """Paints into `image` (H, W, 3) uint8 RGB, mutated, where the driven mouth is open."""
        amount = self._amount(motion.landmarks)
        if amount <= 0:
            return
        lips = motion.landmarks[LIPS_INNER, :2]
        height, width = image.shape[:2]
        left, top = np.floor(lips.min(0) - 3).astype(int).clip(0, None)
        right, bottom = np.minimum(np.ceil(lips.max(0) + 4).astype(int), (width, height))
        if right - left < 3 or bottom - top < 3:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [np.round((lips - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.007 * self._unit * motion.head_scale))
        to_portrait = self._to_portrait(motion)
        to_portrait[:, 2] += to_portrait[:, :2] @ (left, top)
        to_mouth = self._to_mouth[:, :2] @ to_portrait
        to_mouth[:, 2] += self._to_mouth[:, 2]
        in_mouth = (lips - (left, top)) @ to_mouth[:, :2].T + to_mouth[:, 2]
        columns = np.linspace(-1.2, 1.2, COLUMNS)
        upper, lower = in_mouth[:11], np.concatenate([in_mouth[10:], in_mouth[:1]])[::-1]
        edges = np.stack([np.interp(columns, np.maximum.accumulate(part[:, 0]), part[:, 1]) for part in (upper, lower)])
        _paint(
            image[top:bottom, left:right],
            mask,
            np.float32(amount),
            to_portrait.astype(np.float32),
            to_mouth.astype(np.float32),
            self._image,
            self._own_teeth,
            edges.astype(np.float32),
            self._colours,
            self._shape,
        )

    def _amount(self, landmarks: Floats) -> float:
        """How much of the painted mouth shows, in [0, 1]."""
        opening = lip_opening(landmarks)
        low, high = self._config.opens
        wider = (opening - self._opening - low) / (high - low)
        low, high = self._config.closes
        narrower = (self._opening - opening - low) / (high - low) if self._own_teeth.any() else 0.0
        return float(np.clip(max(wider, narrower), 0, 1))

    def _to_portrait(self, motion: Motion) -> NDArray[np.float64]:
        """(2, 3): output pixels → the portrait's, for points on the teeth."""
        turn = motion.head_scale * motion.head_rotation.astype(np.float64)
        # Parallel to the screen in the portrait, so depth is the same for all of it.
        offset = turn[:2, 2] * self._depth + motion.head_translation[:2]
        linear = turn[:2, :2]
        if abs(np.linalg.det(linear)) < 0.05 * motion.head_scale**2:
            linear = motion.head_scale * np.eye(2)
        inverse = np.linalg.inv(linear)
        return np.concatenate([inverse, (-inverse @ offset)[:, None]], 1)


def lip_opening(landmarks: Floats) -> float:
    """Gap of the lips. Unit: the distance between the outer eye corners, turned to the camera or not."""
    lips = np.linalg.norm(landmarks[[81, 13, 311]] - landmarks[[178, 14, 402]], axis=1).mean()
    return float(lips / np.linalg.norm(landmarks[33] - landmarks[263]))


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _step(x: Any) -> Any:
    t = min(max(x, np.float32(0)), np.float32(1))
    return t * t * (np.float32(3) - np.float32(2) * t)


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _paint(
    image: Any,
    mask: Any,
    amount: Any,
    to_portrait: Any,
    to_mouth: Any,
    portrait: Any,
    own_teeth: Any,
    edges: Any,
    colours: Any,
    shape: Any,
) -> None:
    """Paints teeth, tongue and cavity through `mask`, the portrait's own inside over them."""
    edge, lower_teeth, unit = shape[0], shape[1], shape[2]
    one = np.float32(1)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            weight = np.float32(mask[y, x]) * amount / np.float32(255)
            if weight < 0.004:
                continue
            across = to_mouth[0, 0] * x + to_mouth[0, 1] * y + to_mouth[0, 2]
            below = to_mouth[1, 0] * x + to_mouth[1, 1] * y + to_mouth[1, 2]
            place = min(max((across + np.float32(1.2)) / np.float32(2.4), np.float32(0)), one) * (edges.shape[1] - 1)
            i = min(int(place), edges.shape[1] - 2)
            f = np.float32(place - i)
            top = edges[0, i] + f * (edges[0, i + 1] - edges[0, i])
            bottom = edges[1, i] + f * (edges[1, i + 1] - edges[1, i])
            side = across * across
            # Arches: the teeth end higher, and lie deeper in the shade, towards the corners.
            arch = edge - np.float32(0.35) * edge * side
            upper = one - _step((below - arch) / np.float32(0.018) + np.float32(0.5))
            upper *= one - _step((abs(across) - np.float32(0.72)) / np.float32(0.2))
            in_shade = np.float32(0.62) + np.float32(0.38) * _step((below - top) / np.float32(0.05))
            bright = (one - np.float32(0.45) * side) * in_shade
            tooth = abs(across / unit / np.float32(0.088))
            gap = abs(tooth - np.floor(tooth + np.float32(0.5)))
            bright *= one - np.float32(0.12) * (one - _step(gap / np.float32(0.1)))
            height = max(bottom - top, np.float32(1e-3))
            open_wide = _step((height - np.float32(0.12)) / np.float32(0.12))
            rise = (bottom - below) / lower_teeth
            lower = (one - _step((rise - np.float32(0.75)) / np.float32(0.5))) * open_wide * (one - upper)
            lower *= one - _step((abs(across) - np.float32(0.45)) / np.float32(0.25))
            tongue = _step((below - top) / height * np.float32(1.6) - np.float32(0.7)) * open_wide
            tongue *= one - np.float32(0.6) * side
            u = to_portrait[0, 0] * x + to_portrait[0, 1] * y + to_portrait[0, 2]
            v = to_portrait[1, 0] * x + to_portrait[1, 1] * y + to_portrait[1, 2]
            own = np.float32(0)
            a, b = int(u), int(v)
            inside = u >= 0 and v >= 0 and a < portrait.shape[1] - 1 and b < portrait.shape[0] - 1
            if inside:
                own = np.float32(own_teeth[b, a]) / np.float32(255)
            fu, fv = np.float32(u - a), np.float32(v - b)
            for k in range(3):
                colour = colours[1, k] + np.float32(0.8) * tongue * (colours[2, k] - colours[1, k])
                colour += lower * np.float32(0.75) * (colours[0, k] * np.float32(0.78) - colour)
                colour += upper * (colours[0, k] * bright - colour)
                if own > 0:
                    first = portrait[b, a, k] + fu * (np.float32(portrait[b, a + 1, k]) - portrait[b, a, k])
                    second = portrait[b + 1, a, k] + fu * (
                        np.float32(portrait[b + 1, a + 1, k]) - portrait[b + 1, a, k]
                    )
                    colour += own * (first + fv * (second - first) - colour)
                before = np.float32(image[y, x, k])
                image[y, x, k] = np.uint8(
                    min(max(before + weight * (colour - before) + np.float32(0.5), np.float32(0)), np.float32(255))
                )
