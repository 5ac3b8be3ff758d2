"""The sample portrait: a friendly face, painted stroke by stroke."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample_assets.brush import Canvas, Floats, Mask, curve, mirrored

SIZE_PX = 768

SKIN = (226, 172, 140)
SKIN_DEEP = (176, 112, 88)
SKIN_SHADOW = (150, 88, 74)
BLUSH = (222, 120, 104)
HAIR = (56, 37, 33)
HAIR_LIGHT = (150, 98, 70)
LIP_UPPER = (186, 108, 98)
LIP_LOWER = (206, 130, 116)
IRIS = (96, 66, 40)
SWEATER = (46, 116, 124)
SWEATER_SHADOW = (24, 70, 80)
BACK_LIGHT = (220, 230, 238)
BACK_DEEP = (150, 170, 190)

FACE_RIGHT = [
    (0.0, -0.72),
    (0.24, -0.66),
    (0.41, -0.46),
    (0.475, -0.20),
    (0.49, 0.05),
    (0.475, 0.28),
    (0.425, 0.50),
    (0.33, 0.68),
    (0.20, 0.815),
    (0.085, 0.87),
]
FACE = [*FACE_RIGHT, (0.0, 0.88), *[(-x, y) for x, y in reversed(FACE_RIGHT[1:])]]

EYE_X, EYE_Y = 0.235, 0.0
EYE_SCALE = np.float32(1.06)
UPPER_LID = [(-0.110, 0.016), (-0.082, -0.026), (-0.035, -0.053), (0.020, -0.053), (0.072, -0.029), (0.107, 0.004)]
LOWER_LID = [(0.107, 0.004), (0.072, 0.034), (0.020, 0.046), (-0.040, 0.043), (-0.086, 0.031), (-0.110, 0.016)]
"""One eye about its centre, from the inner to the outer corner and back (the eye on the picture's right)."""


def paint_portrait() -> NDArray[np.uint8]:
    """(768, 768, 3) uint8 RGB in [0, 255]."""
    canvas = Canvas(SIZE_PX, origin_px=(384, 322), unit_px=236)
    noise = np.random.default_rng(7)
    _background(canvas)
    _neck(canvas)
    _sweater(canvas)
    _ears(canvas)
    face = canvas.shape(FACE)
    _skin(canvas, face)
    _nose(canvas)
    _mouth(canvas)
    for side in (-1.0, 1.0):
        _eye(canvas, side)
        _brow(canvas, side, noise)
    _hair(canvas, face, noise)
    _finish(canvas, noise)
    return canvas.finished()


def _background(c: Canvas) -> None:
    c.image[:] = BACK_DEEP
    c.paint(c.glow(-0.55, -0.45, 1.4, 1.3), BACK_LIGHT)
    for x, y, radius in [(-1.25, 0.55, 0.30), (1.25, -0.75, 0.36), (1.35, 0.35, 0.22), (-1.15, -0.95, 0.24)]:
        disc = c.soften((np.hypot(c.x - x, c.y - y) < radius).astype(np.float32), 0.03)
        c.paint(disc, (236, 242, 248), 0.20)


def _neck(c: Canvas) -> None:
    neck = c.shape(
        [
            (-0.27, 0.45),
            (-0.265, 0.95),
            (-0.33, 1.15),
            (-0.55, 1.30),
            (0, 1.75),
            (0.55, 1.30),
            (0.33, 1.15),
            (0.265, 0.95),
            (0.27, 0.45),
        ]
    )
    c.paint(neck, (208, 150, 120))
    c.light(neck * c.soften(c.shape([(x * 0.92, y + 0.13) for x, y in FACE]), 0.035), (0.70, 0.62, 0.62))
    c.light(neck * c.glow(0.33, 1.0, 0.18, 0.5), (0.80, 0.74, 0.74))
    c.light(neck * c.glow(-0.14, 1.17, 0.10, 0.14), 1.07)
    for side in (-1, 1):
        collar_bone = c.line(
            [(0.06 * side, 1.34), (0.2 * side, 1.30), (0.36 * side, 1.29)], (0.0, 0.025, 0.0), blur=0.012
        )
        c.light(neck * collar_bone, (0.84, 0.78, 0.76))


def _sweater(c: Canvas) -> None:
    collar = [(0.40, 1.13), (0.33, 1.27), (0.17, 1.37), (0.0, 1.40), (-0.17, 1.37), (-0.33, 1.27), (-0.40, 1.13)]
    right = [(0.55, 1.18), (0.86, 1.30), (1.14, 1.45), (1.32, 1.75), (1.40, 2.2)]
    outline = np.concatenate(
        [curve([*right, (1.4, 2.4)]), curve([(-1.4, 2.4), *[(-x, y) for x, y in reversed(right)]]), curve(collar[::-1])]
    )
    body = c.shape(outline, closed=False)
    c.paint(body, SWEATER)
    knit = 0.5 + 0.5 * np.sin((c.x + 0.18 * np.sin(3 * c.y)) * 150)
    c.light(body * knit, 0.955)
    c.light(body * c.glow(-0.62, 1.42, 0.42, 0.25), 1.22)
    c.paint(body * c.glow(1.05, 1.95, 0.55, 0.75), SWEATER_SHADOW, 0.75)
    c.paint(body * c.glow(0.0, 1.48, 0.34, 0.12), SWEATER_SHADOW, 0.35)
    for side in (-1, 1):
        fold = c.line([(0.72 * side, 1.55), (0.70 * side, 1.75), (0.76 * side, 2.0)], (0.0, 0.06, 0.05), blur=0.045)
        c.paint(body * fold, SWEATER_SHADOW, 0.4)
    band = c.line(collar, (0.085, 0.10, 0.10, 0.10, 0.085))
    c.paint(c.soften(band, 0.02), (90, 52, 48), 0.30)
    c.paint(band, (58, 134, 140))
    c.light(band * (0.5 + 0.5 * np.sin(np.arctan2(c.y - 0.95, c.x) * 190)), 0.9)
    c.light(c.line([(x * 1.06, y + 0.035) for x, y in collar], (0.02, 0.03, 0.02), blur=0.012), 0.8)


def _ears(c: Canvas) -> None:
    for side in (-1, 1):
        outline = [
            (0.46, -0.10),
            (0.515, -0.135),
            (0.560, -0.09),
            (0.565, 0.02),
            (0.535, 0.14),
            (0.500, 0.235),
            (0.455, 0.24),
        ]
        ear = c.shape([(x * side, y) for x, y in outline])
        c.paint(ear, (218, 158, 128))
        rim = [(0.500, -0.06), (0.540, -0.085), (0.560, -0.02), (0.545, 0.07), (0.508, 0.15)]
        c.light(
            ear * c.line([(x * side, y) for x, y in rim], (0.0, 0.022, 0.028, 0.022, 0.0), blur=0.010),
            (0.78, 0.64, 0.62),
        )
        c.light(ear * c.glow(0.475 * side, 0.06, 0.03, 0.16), (0.80, 0.68, 0.66))


def _skin(c: Canvas, face: Mask) -> None:
    c.paint(face, SKIN)
    inside = c.soften(face, 0.085)
    edge = np.clip(1.0 - (inside - 0.5) / 0.5, 0, 1) * face
    c.paint(edge, SKIN_DEEP, 0.42)
    c.paint(face * c.glow(0.50, 0.25, 0.24, 0.60), SKIN_SHADOW, 0.30)
    c.paint(face * c.glow(0.0, 0.93, 0.36, 0.12), SKIN_SHADOW, 0.28)
    c.paint(face * c.glow(-0.08, -0.32, 0.30, 0.17), (250, 214, 186), 0.50)
    c.paint(face * c.glow(-0.26, 0.20, 0.16, 0.10), (250, 208, 180), 0.45)
    c.paint(face * c.glow(0.24, 0.20, 0.14, 0.09), (248, 204, 176), 0.26)
    c.paint(face * c.glow(0.0, 0.735, 0.10, 0.06), (246, 202, 174), 0.36)
    c.paint(face * c.glow(-0.475, 0.12, 0.035, 0.30), (255, 224, 196), 0.40)
    for side in (-1, 1):
        c.paint(face * c.glow(0.295 * side, 0.27, 0.15, 0.105), BLUSH, 0.32)
        socket = c.glow(0.225 * side, -0.055, 0.155, 0.075)
        c.paint(face * socket, SKIN_DEEP, 0.34)
        c.paint(face * c.glow(0.105 * side, -0.03, 0.04, 0.085), SKIN_DEEP, 0.34)
    c.paint(
        face * c.line([(-0.10, 0.655), (0.0, 0.668), (0.10, 0.655)], (0.0, 0.045, 0.0), blur=0.020), SKIN_DEEP, 0.55
    )


def _nose(c: Canvas) -> None:
    c.paint(
        c.line([(0.050, -0.03), (0.040, 0.12), (0.070, 0.25), (0.100, 0.32)], (0.02, 0.05, 0.06, 0.03), blur=0.020),
        SKIN_DEEP,
        0.55,
    )
    c.paint(c.line([(-0.052, -0.02), (-0.046, 0.12), (-0.074, 0.25)], (0.02, 0.035, 0.03), blur=0.018), SKIN_DEEP, 0.24)
    c.paint(
        c.line([(-0.008, -0.06), (-0.010, 0.08), (-0.010, 0.24)], (0.035, 0.032, 0.06), blur=0.016),
        (255, 222, 196),
        0.62,
    )
    c.paint(c.glow(-0.012, 0.285, 0.045, 0.038), (255, 226, 204), 0.62)
    c.paint(c.glow(0.0, 0.395, 0.105, 0.030), SKIN_SHADOW, 0.42)
    for side in (-1, 1):
        wing = c.line(
            [(0.088 * side, 0.265), (0.117 * side, 0.305), (0.107 * side, 0.352), (0.076 * side, 0.362)],
            (0.0, 0.018, 0.018, 0.0),
            blur=0.007,
        )
        c.paint(wing, SKIN_SHADOW, 0.62 if side > 0 else 0.5)
        nostril = c.shape(
            [
                (0.030 * side, 0.362),
                (0.052 * side, 0.349),
                (0.080 * side, 0.356),
                (0.070 * side, 0.369),
                (0.048 * side, 0.371),
            ],
            blur=0.004,
        )
        c.paint(nostril, (96, 46, 42), 0.82)
    c.paint(c.line([(-0.034, 0.372), (0.0, 0.385), (0.034, 0.372)], (0.0, 0.012, 0.0), blur=0.006), SKIN_SHADOW, 0.5)
    c.paint(c.line([(0.0, 0.41), (0.0, 0.47)], (0.03, 0.045), blur=0.014), SKIN_DEEP, 0.30)


def _mouth(c: Canvas) -> None:
    seam = [(-0.204, 0.519), (-0.12, 0.550), (-0.05, 0.560), (0.0, 0.566), (0.05, 0.560), (0.12, 0.550), (0.204, 0.519)]
    upper = curve(
        [(-0.204, 0.519), (-0.11, 0.509), (-0.040, 0.490), (0.0, 0.499), (0.040, 0.490), (0.11, 0.509), (0.204, 0.519)]
    )
    lower = curve(
        [(0.204, 0.519), (0.13, 0.587), (0.06, 0.620), (0.0, 0.626), (-0.06, 0.620), (-0.13, 0.587), (-0.204, 0.519)]
    )
    middle = curve(seam)
    upper_lip = c.shape(np.concatenate([upper, middle[::-1]]), blur=0.004, closed=False)
    lower_lip = c.shape(np.concatenate([middle, lower]), blur=0.004, closed=False)
    c.paint(c.soften(np.maximum(upper_lip, lower_lip), 0.02), SKIN_DEEP, 0.35)
    c.paint(upper_lip, LIP_UPPER, 0.92)
    c.paint(lower_lip, LIP_LOWER, 0.92)
    c.light(upper_lip * c.soften(c.line(seam, (0.05, 0.06, 0.05)), 0.012), (0.82, 0.74, 0.74))
    c.paint(lower_lip * c.glow(-0.02, 0.592, 0.085, 0.016), (246, 184, 172), 0.62)
    c.paint(upper_lip * c.glow(-0.05, 0.512, 0.05, 0.010), (222, 148, 136), 0.5)
    c.paint(c.line(seam, (0.004, 0.012, 0.013, 0.012, 0.004), blur=0.003), (92, 36, 38), 0.92)
    for side in (-1, 1):
        c.paint(c.glow(0.212 * side, 0.516, 0.020, 0.016), SKIN_SHADOW, 0.5)
        c.paint(
            c.line([(0.140 * side, 0.36), (0.205 * side, 0.43), (0.238 * side, 0.52)], (0.0, 0.022, 0.0), blur=0.016),
            SKIN_DEEP,
            0.42,
        )


def _eye(c: Canvas, side: float) -> None:
    def placed(points: list[tuple[float, float]] | Floats) -> Floats:
        p = EYE_SCALE * np.asarray(points, np.float32)
        return (p if side > 0 else mirrored(p)) + np.array([EYE_X * side, EYE_Y], np.float32)

    upper, lower = placed(curve(UPPER_LID)), placed(curve(LOWER_LID))
    opening = c.shape(np.concatenate([upper, lower]), closed=False)
    c.paint(opening, (244, 236, 230))
    c.paint(opening * c.glow(EYE_X * side - 0.11 * side, 0.012, 0.030, 0.025), (226, 160, 144), 0.7)
    x, y = EYE_X * side + 0.001, -0.006
    distance = np.hypot(c.x - x, c.y - y)
    iris = np.clip((0.0595 - distance) / 0.003 + 0.5, 0, 1) * opening
    c.paint(iris, IRIS)
    c.paint(iris * c.glow(x + 0.012, y + 0.022, 0.030, 0.024), (178, 128, 70), 0.85)
    angle = np.arctan2(c.y - y, c.x - x)
    c.light(iris * (0.5 + 0.5 * np.sin(angle * 23) * np.sin(angle * 37 + 1)), 0.86)
    c.paint(iris * np.clip((distance - 0.047) / 0.010, 0, 1), (40, 24, 18), 0.85)
    c.paint(np.clip((0.0255 - distance) / 0.003 + 0.5, 0, 1) * opening, (16, 10, 10))
    c.light(opening * c.soften(c.line(upper, (0.02, 0.05, 0.05, 0.03), smooth=False), 0.010), (0.62, 0.58, 0.60))
    c.paint(
        opening * np.clip((0.0125 - np.hypot(c.x - x + 0.017, c.y - y + 0.020)) / 0.003 + 0.5, 0, 1), (255, 255, 255)
    )
    c.paint(opening * c.glow(x + 0.020, y + 0.026, 0.008), (255, 240, 220), 0.5)
    c.paint(c.line(lower, (0.004, 0.008, 0.007, 0.003), smooth=False, blur=0.003), (150, 84, 72), 0.75)
    c.paint(c.line(upper, (0.004, 0.016, 0.021, 0.022, 0.016), smooth=False, blur=0.0025), (38, 22, 24), 0.96)
    wing = placed([(0.080, -0.025), (0.105, -0.002), (0.121, -0.008)])
    c.paint(c.line(wing, (0.012, 0.013, 0.0), blur=0.003), (38, 22, 24), 0.85)
    crease = placed([(-0.100, -0.036), (-0.050, -0.083), (0.020, -0.088), (0.085, -0.058), (0.128, -0.020)])
    c.paint(c.line(crease, (0.0, 0.011, 0.013, 0.011, 0.0), blur=0.005), SKIN_SHADOW, 0.62)
    c.paint(
        c.line(placed([(-0.07, 0.075), (0.0, 0.088), (0.08, 0.068)]), (0.0, 0.014, 0.0), blur=0.010), SKIN_DEEP, 0.45
    )


def _brow(c: Canvas, side: float, noise: np.random.Generator) -> None:
    spine = np.array([(0.092, -0.140), (0.16, -0.166), (0.25, -0.180), (0.325, -0.164), (0.380, -0.124)], np.float32)
    line = curve(spine)
    hairs = []
    for t in np.sort(noise.uniform(0, 0.97, 240)):
        lean = 0.25 + 1.15 * t
        across = noise.uniform(-0.014, 0.014) * (1 - 0.8 * t)
        start = line[int(t * (len(line) - 1))] + np.array([0, across + 0.008 * (1 - t)], np.float32)
        reach = 0.036 * (1 - 0.35 * t) * np.array([np.sin(lean), -np.cos(lean) * (0.6 - 0.5 * t)])
        hairs.append(curve([start, start + 0.5 * reach + [0.002, -0.002], start + reach], per_segment=4))
    if side < 0:
        spine, hairs = mirrored(spine), [mirrored(h) for h in hairs]
    c.paint(c.line(spine, (0.024, 0.044, 0.042, 0.030, 0.004), blur=0.007), HAIR, 0.72)
    shades = noise.uniform(0, 0.35, (len(hairs), 1))
    c.strands(hairs, HAIR + shades * (np.array(HAIR_LIGHT) - HAIR), 0.005, (0.8, 1.0, 0.0), 0.55)


LEFT_LOCKS = [
    [(0.17, -0.535), (0.02, -0.585), (-0.18, -0.525), (-0.340, -0.395), (-0.445, -0.215)],
    [(0.17, -0.61), (-0.03, -0.70), (-0.28, -0.61), (-0.45, -0.41), (-0.510, -0.09)],
    [(0.16, -0.70), (-0.06, -0.81), (-0.34, -0.71), (-0.53, -0.46), (-0.548, -0.01)],
    [(0.15, -0.80), (-0.06, -0.90), (-0.37, -0.80), (-0.580, -0.51), (-0.572, -0.02)],
    [(0.15, -0.952), (-0.06, -0.968), (-0.40, -0.86), (-0.605, -0.55), (-0.592, -0.12)],
]
RIGHT_LOCKS = [
    [(0.17, -0.535), (0.27, -0.550), (0.375, -0.475), (0.445, -0.345), (0.486, -0.16)],
    [(0.175, -0.63), (0.31, -0.67), (0.44, -0.55), (0.515, -0.36), (0.530, -0.03)],
    [(0.16, -0.76), (0.33, -0.80), (0.49, -0.67), (0.570, -0.43), (0.562, -0.01)],
    [(0.10, -0.957), (0.34, -0.925), (0.54, -0.785), (0.606, -0.53), (0.592, -0.12)],
]
"""Guide lines of the hair from the parting outwards: the fringe first, the crown last."""


def _hair(c: Canvas, face: Mask, noise: np.random.Generator) -> None:
    outer = np.concatenate([curve(LEFT_LOCKS[-1])[::-1], curve(RIGHT_LOCKS[-1])[4:]])
    right = [(0.59, -0.12), (0.572, -0.02), (0.535, 0.01), (0.505, 0.06), (0.486, 0.03), (0.488, -0.10)]
    inner = np.concatenate([curve(RIGHT_LOCKS[0])[::-1], curve(LEFT_LOCKS[0])])
    inner = inner[inner[:, 1] < -0.22]
    hair = c.shape(np.concatenate([outer, curve(right), inner, mirrored(curve(right))[::-1]]), blur=0.003, closed=False)
    shadow = c.soften(np.roll(hair, int(0.03 * c.unit), axis=0), 0.020)
    c.light(face * shadow, (0.76, 0.65, 0.62))
    c.paint(hair, HAIR)
    for locks, count, dimmed in ((LEFT_LOCKS, 2200, 0.0), (RIGHT_LOCKS, 1500, 0.3)):
        guides = np.stack([curve(lock, per_segment=9) for lock in locks])
        paths, colors = [], []
        for depth in np.sort(noise.uniform(0, len(locks) - 1.0001, count))[::-1]:
            k, mix = int(depth), depth % 1
            path = (1 - mix) * guides[k] + mix * guides[k + 1]
            begin, end = int(noise.uniform(0, 12)), int(noise.uniform(22, len(path) + 1))
            lock = np.sin(2.4 * depth + 1.0)
            path = path + 0.010 * np.sin(np.linspace(0, 5, len(path)) + 3 * lock)[:, None] + noise.normal(0, 0.003, 2)
            middle = (begin + end) / 2 / len(path)
            shine = np.exp(-(((middle - 0.45) / 0.12) ** 2)) * (0.8 + 0.4 * lock)
            shade = 0.10 + (0.62 * shine + 0.12 * np.sin(9 * depth)) * (1 - dimmed) + noise.normal(0, 0.12)
            paths.append(path[begin:end].astype(np.float32))
            colors.append(np.array(HAIR) + np.clip(shade, -0.3, 1.0) * (np.array(HAIR_LIGHT) - HAIR))
        c.strands(paths, np.clip(colors, 10, 255), 0.0085, (0.3, 1.0, 0.8, 0.0), 0.62)
    loose, colors = [], []
    for locks in (LEFT_LOCKS, RIGHT_LOCKS):
        for edge, lift in ((0, 0.012), (-1, -0.010)):
            for _ in range(6):
                path = curve(locks[edge], per_segment=9)
                begin = int(noise.uniform(4, 22))
                path = path[begin : begin + int(noise.uniform(8, 16))]
                drift = noise.uniform(0.2, 1.3) * lift * np.linspace(0, 1, len(path)) ** 2
                loose.append((path + drift[:, None] * [0.4, 1.0]).astype(np.float32))
                colors.append(np.array(HAIR) + noise.uniform(0, 0.5) * (np.array(HAIR_LIGHT) - HAIR))
    c.strands(loose, np.array(colors), 0.0045, (0.3, 1.0, 0.0), 0.7)
    c.light(hair * c.glow(-0.28, -0.72, 0.26, 0.17), 1.20)
    c.light(hair * c.glow(0.64, -0.35, 0.16, 0.45), 0.74)
    c.light(hair * c.line([(0.17, -0.54), (0.165, -0.66), (0.155, -0.82)], (0.012, 0.02, 0.0), blur=0.010), 0.6)


def _finish(c: Canvas, noise: np.random.Generator) -> None:
    c.image += noise.uniform(-0.5, 0.5, (c.size, c.size, 1)).astype(np.float32)
