"""A drawn face that talks, blinks and sways: the least data on which the whole recipe can be tried.

H rows, W columns. The portrait has its mouth closed and its eyes open, so that a shifted portrait is right but for
mouth, lids and gaze: what training is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar_sdk.warp.frame import CROP_PX, POSE_MAPS
from training.data.clip import Clip

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

SUBPIXEL_BITS: Final = 4
EYES_X_PX: Final = (-34.0, 34.0)
EYE_Y_PX: Final = -28.0
MOUTH_Y_PX: Final = 48.0
FPS: Final = 24.0


@dataclass(frozen=True)
class Look:
    """Colours of one person, RGB."""

    skin: Colour
    lips: Colour
    iris: Colour
    background: Colour


@dataclass(frozen=True)
class Act:
    """What the face does in one frame.

    Attributes:
        sway_px: right and down from the middle.
        mouth: 0 = closed, 1 = wide open.
        lids: 0 = shut, 1 = open.
        gaze: −1 = left, 1 = right.
    """

    sway_px: tuple[float, float] = (0.0, 0.0)
    mouth: float = 0.0
    lids: float = 1.0
    gaze: float = 0.0


def drawn_name(seed: int) -> str:
    """Of the clip with this seed."""
    return f"drawn-{seed:06d}"


def drawn_clip(seed: int, frames: int, side_px: int = CROP_PX, face_every: int | None = 1) -> Clip:
    """One person, moving; the same for the same seed.

    Args:
        seed: of looks and motion.
        frames: of the clip.
        side_px: of the pictures.
        face_every: the pose maps tell mouth, lids and gaze in every so many frames, None = never; in the others they
            tell where the head is, and their plane "stretch" is zero.
    """
    rng = np.random.default_rng(seed)
    look, acts = _look(rng), _acts(rng, frames)
    portrait = _picture(look, Act())

    def small(picture: Pixels) -> Pixels:
        return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)

    def planes(act: Act) -> Pixels:
        return np.stack([small(plane) for plane in _maps(act)])

    def told(frame: int, act: Act) -> Pixels:
        if face_every is not None and frame % face_every == 0:
            return planes(act)
        maps = planes(Act(act.sway_px))
        maps[POSE_MAPS.index("stretch")] = 0
        return maps

    return Clip(
        name=drawn_name(seed),
        truth=np.stack([small(_picture(look, act)) for act in acts]),
        warp=np.stack([small(_moved(portrait, act.sway_px)) for act in acts]),
        maps=np.stack([told(frame, act) for frame, act in enumerate(acts)]),
        gate=np.stack([small(_gate(act)) for act in acts]),
        reference=np.concatenate([small(portrait).transpose(2, 0, 1), planes(Act())]),
        info={"source": "drawn", "seed": seed, "fps": FPS},
    )


def _look(rng: np.random.Generator) -> Look:
    def near(*rgb: int) -> Colour:
        red, green, blue = np.clip(np.asarray(rgb) + rng.integers(-25, 26, 3), 0, 255).tolist()
        return red, green, blue

    return Look(near(205, 160, 130), near(170, 70, 75), near(70, 100, 120), near(110, 115, 120))


def _acts(rng: np.random.Generator, frames: int) -> list[Act]:
    """Smooth motion: a few sines each, and a blink now and then."""
    time_s = np.arange(frames) / FPS

    def wave(*hertz: float) -> NDArray[np.float64]:
        phase = rng.uniform(0, 2 * np.pi, len(hertz))
        return np.mean([np.sin(2 * np.pi * f * time_s + p) for f, p in zip(hertz, phase, strict=True)], 0)

    mouth = np.clip(0.45 + 0.9 * wave(1.1, 2.3), 0, 1)
    lids = np.clip(4 * np.abs(wave(0.45)) - 0.2, 0, 1)
    x_px, y_px, gaze = 9 * wave(0.31, 0.7), 6 * wave(0.23, 0.53), wave(0.4, 0.9)
    rows = zip(x_px, y_px, mouth, lids, gaze, strict=True)
    return [Act((float(x), float(y)), float(m), float(e), float(g)) for x, y, m, e, g in rows]


def _ellipse(canvas: Pixels, act: Act, x_px: float, y_px: float, rx_px: float, ry_px: float, colour: object) -> None:
    """Filled, placed from the middle of the face. Mutates `canvas`."""
    scale = 1 << SUBPIXEL_BITS
    centre = [
        round((CROP_PX / 2 + offset + sway) * scale) for offset, sway in zip((x_px, y_px), act.sway_px, strict=True)
    ]
    axes = (max(1, round(rx_px * scale)), max(1, round(ry_px * scale)))
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, colour, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)


def _picture(look: Look, act: Act) -> Pixels:
    """(H, W, 3) RGB."""
    canvas: Pixels = np.empty((CROP_PX, CROP_PX, 3), np.uint8)
    canvas[:] = look.background
    _ellipse(canvas, act, 0, 0, 82, 104, look.skin)
    for x_px in EYES_X_PX:
        _ellipse(canvas, act, x_px, EYE_Y_PX, 17, 1 + 9 * act.lids, (245, 245, 240))
        _ellipse(canvas, act, x_px + 6 * act.gaze, EYE_Y_PX, 7, min(7, 9 * act.lids), look.iris)
    height_px = _lips_px(act)
    _ellipse(canvas, act, 0, MOUTH_Y_PX, 30, height_px, look.lips)
    if act.mouth > 0.05:
        _ellipse(canvas, act, 0, MOUTH_Y_PX, 23, 16 * act.mouth, (50, 15, 20))
        _ellipse(canvas, act, 0, MOUTH_Y_PX - 9 * act.mouth, 16, 4 * act.mouth, (235, 230, 220))
    return canvas


def _lips_px(act: Act) -> float:
    return 8 + 15 * act.mouth


def _maps(act: Act) -> Pixels:
    """(8, H, W), in the order of `POSE_MAPS`."""
    planes = dict(zip(POSE_MAPS, np.zeros((len(POSE_MAPS), CROP_PX, CROP_PX), np.uint8), strict=True))
    _ellipse(planes["face"], act, 0, 0, 82, 104, 255)
    for x_px in EYES_X_PX:
        _ellipse(planes["eyes"], act, x_px, EYE_Y_PX, 17, 1 + 9 * act.lids, 255)
        _ellipse(planes["iris"], act, x_px + 6 * act.gaze, EYE_Y_PX, 7, min(7, 9 * act.lids), 255)
    _ellipse(planes["lips"], act, 0, MOUTH_Y_PX, 30, _lips_px(act), 255)
    if act.mouth > 0.05:
        _ellipse(planes["inner_mouth"], act, 0, MOUTH_Y_PX, 23, 16 * act.mouth, 255)
    inner, lips = planes["inner_mouth"], planes["lips"]
    np.minimum(lips, 255 - inner, out=lips)
    for name in ("face", "eyes", "lips"):
        edges = cv2.morphologyEx(planes[name], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        np.maximum(planes["contours"], edges, out=planes["contours"])
    planes["stretch"][:] = 128
    np.subtract(255, inner, out=planes["visibility"])
    return np.stack(list(planes.values()))


def _gate(act: Act) -> Pixels:
    """(H, W): the face, feathered."""
    gate: Pixels = np.zeros((CROP_PX, CROP_PX), np.uint8)
    _ellipse(gate, act, 0, 0, 88, 110, 255)
    return np.asarray(cv2.blur(gate, (9, 9)), np.uint8)


def _moved(picture: Pixels, by_px: tuple[float, float]) -> Pixels:
    """The portrait's picture, shifted."""
    affine = np.array([[1, 0, by_px[0]], [0, 1, by_px[1]]], np.float32)
    size = (CROP_PX, CROP_PX)
    return np.asarray(cv2.warpAffine(picture, affine, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
