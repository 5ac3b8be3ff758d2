"""The sample driver: ten seconds of talking, looking around and smiling, made from formulas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import regions
from avatar_sdk.motion.rigid import rotation_matrix
from avatar_sdk.motion.shape import FaceShape

Floats = NDArray[np.float32]
Handles = dict[int, tuple[float, float, float]]

FPS = 25
DURATION_S = 12.0
FACE_WIDTH = 0.27
"""Of the driver in the camera picture. Unit: image widths."""
CENTRE = (0.5, 0.36, 0.0)
"""Between the driver's eyes; a 4:3 picture is 0.75 image widths high."""
MESH = 468

RIGHT_CORNER, LEFT_CORNER = (61, 78), (291, 308)
CHEEKS = (50, 280)
NOSE = (1, 2, 4, 5, 6, 168, 195, 197, 98, 327)
FOREHEAD = (10, 109, 338, 67, 297, 54, 284, 151)
SIDES = (127, 356, 234, 454, 162, 389, 93, 323)


class Expressions:
    """Displacement fields of one face, each of full strength 1, in face widths along the head's own axes."""

    def __init__(self, rest: FaceShape) -> None:
        self._points = rest.canonical[:MESH] / np.float32(rest.width)
        laplacian = _cut_laplacian()
        self._bending = laplacian.T @ laplacian
        lid_gaps, lip_gaps = rest.lid_openings / rest.width, rest.lip_openings / rest.width
        upper, lower = regions.UPPER_LIP, regions.LOWER_LIP
        still_face = (*NOSE, *FOREHEAD, *SIDES, *regions.UPPER_LIDS.ravel(), *regions.LOWER_LIDS.ravel())
        rise = np.sin(np.linspace(0.12, np.pi - 0.12, 9))

        jaw: Handles = {int(i): (0, 0.004, 0) for i in upper.ravel()}
        jaw |= {int(lower[r, k]): (0, 0.125 * rise[k] ** 0.6 + 0.005, 0.02) for r in range(4) for k in range(9)}
        jaw |= dict.fromkeys((152, 148, 377, 176, 400, 199, 200, 175), (0, 0.13, 0.045))
        jaw |= dict.fromkeys((149, 378, 150, 379), (0, 0.115, 0.03))
        jaw |= dict.fromkeys((172, 397, 136, 365), (0, 0.06, 0.01))
        jaw |= dict.fromkeys(RIGHT_CORNER, (0.012, 0.055, 0.012)) | dict.fromkeys(LEFT_CORNER, (-0.012, 0.055, 0.012))
        self.jaw = self._field(jaw, still_face)

        smile: Handles = dict.fromkeys(RIGHT_CORNER, (-0.062, -0.052, 0.03))
        smile |= dict.fromkeys(LEFT_CORNER, (0.062, -0.052, 0.03))
        smile |= {CHEEKS[0]: (-0.01, -0.03, -0.015), CHEEKS[1]: (0.01, -0.03, -0.015)}
        smile |= {0: (0, 0.004, 0.012), 13: (0, 0.006, 0.012), 14: (0, 0.008, 0.012), 17: (0, 0.010, 0.012)}
        self.smile = self._field(smile, (*still_face, 152, 148, 377, 176, 400))

        part = self._field(
            {int(upper[r, k]): (0, -0.030 * rise[k], 0) for r in range(4) for k in range(9)}
            | {int(lower[r, k]): (0, 0.030 * rise[k], 0) for r in range(4) for k in range(9)},
            (*still_face, 152, 148, 377),
        )
        self.part = part
        lips = [*upper.ravel(), *lower.ravel(), *RIGHT_CORNER, *LEFT_CORNER]
        middle = self._points[[13, 14]].mean(0)
        self.pucker = self._field(
            {int(i): (0.42 * float(middle[0] - self._points[i, 0]), 0, -0.055) for i in lips},
            (*still_face, 152, 148, 377),
        )
        press = {int(upper[-1, k]): (0, 0.5 * float(lip_gaps[k]), 0) for k in range(9)}
        press |= {int(lower[-1, k]): (0, -0.5 * float(lip_gaps[k]), 0) for k in range(9)}
        press |= {int(i): (0, 0.008, 0.01) for i in upper[0]} | {int(i): (0, -0.008, 0.01) for i in lower[0]}
        self.press = self._field(press, (*still_face, 152, 148, 377))

        corners = tuple(int(i) for i in regions.EYE_CORNERS.ravel())
        blink: Handles = {}
        squint: Handles = {}
        for eye in (0, 1):
            for k in range(7):
                gap = float(lid_gaps[eye, k])
                blink[int(regions.UPPER_LIDS[eye, k])] = (0, 0.86 * gap, 0.004)
                blink[int(regions.LOWER_LIDS[eye, k])] = (0, -0.12 * gap, 0)
                squint[int(regions.LOWER_LIDS[eye, k])] = (0, -0.22 * gap, 0)
                squint[int(regions.UPPER_LIDS[eye, k])] = (0, 0.06 * gap, 0)
        brows = tuple(int(i) for i in regions.BROWS)
        self.blink = self._field(blink, (*corners, *brows, *NOSE))
        self.squint = self._field(squint, (*corners, *brows, *NOSE))
        raised: Handles = dict.fromkeys(brows, (0.0, -0.055, 0.0))
        self.brows = self._field(raised, (*corners, *regions.UPPER_LIDS.ravel(), *NOSE, 10, 109, 338, *SIDES))

    def _field(self, handles: Handles, anchors: tuple[int, ...]) -> Floats:
        """The smooth field that takes the handles where they go and leaves the anchors where they are."""
        fixed = [i for i in dict.fromkeys(int(a) for a in anchors) if i not in handles]
        known = np.array([*handles, *fixed])
        values = np.concatenate([np.array(list(handles.values()), np.float64), np.zeros((len(fixed), 3))])
        free = np.setdiff1d(np.arange(MESH), known)
        out = np.zeros((478, 3), np.float32)
        out[known] = values
        pull = -self._bending[np.ix_(free, known)] @ values
        out[free] = np.linalg.solve(self._bending[np.ix_(free, free)] + 1e-9 * np.eye(len(free)), pull)
        return out


def _cut_laplacian() -> NDArray[np.float64]:
    """(468, 468) Laplacian of MediaPipe's mesh, cut open along the mouth and the lids."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    sides = [(regions.UPPER_LIP[-1], regions.LOWER_LIP[-1]), *zip(regions.UPPER_LIDS, regions.LOWER_LIDS, strict=True)]
    adjacent = np.zeros((MESH, MESH))
    for a, b in FACEMESH_TESSELATION:
        adjacent[a, b] = adjacent[b, a] = 1
    for upper, lower in sides:
        adjacent[np.ix_(upper, lower)] = adjacent[np.ix_(lower, upper)] = 0
    return np.eye(MESH) - adjacent / adjacent.sum(1, keepdims=True)


def perform(portrait_landmarks: Floats, seed: int = 5) -> tuple[NDArray[np.int64], Floats]:
    """The performance of a driver who looks like the portrait.

    Args:
        portrait_landmarks: (478, 3) in any one unit, y down.
        seed: of speech, blinks and jitter.

    Returns:
        times_us: (T,) capture times.
        faces: (T, 478, 3) float32 in image widths.
    """
    noise = np.random.default_rng(seed)
    rest = FaceShape.of(portrait_landmarks)
    show = Expressions(rest)
    time_s = np.arange(int(FPS * DURATION_S)) / FPS
    speaking = _window(time_s, 0.9, 3.9) + _window(time_s, 8.3, 10.3)
    jaw, wide, press = _speech(time_s, noise)
    smile = 0.10 + 0.95 * _window(time_s, 6.7, 8.0) + 0.55 * _window(time_s, 10.4, 11.6) - 0.1 * speaking
    pucker = speaking * np.clip(-wide, 0, 1) * 0.8
    yaw = -17 * _window(time_s, 3.8, 4.8) + 17 * _window(time_s, 5.0, 6.1) + 3.5 * np.sin(2.1 * time_s) * speaking
    pitch = (
        9 * _bumps(time_s, (1.5, 2.6, 9.0), 0.20)
        - 7 * _window(time_s, 9.4, 10.2)
        + 2.5 * np.sin(3.3 * time_s) * speaking
    )
    pitch += 10 * _bumps(time_s, (6.35, 6.75), 0.12)
    roll = 7 * _window(time_s, 6.9, 8.0) - 6 * _window(time_s, 8.7, 10.0) + 1.5 * np.sin(1.7 * time_s)
    across = 0.05 * np.sin(0.9 * time_s) + 0.08 * _window(time_s, 10.4, 11.5)
    nearer = 0.06 * _window(time_s, 8.4, 10.2) + 0.01 * np.sin(1.3 * time_s)
    look_x = 0.9 * (_window(time_s, 5.0 - 0.12, 6.0) - _window(time_s, 3.8 - 0.12, 4.7)) - 0.7 * _window(
        time_s, 10.6, 11.2
    )
    look_y = 0.6 * _bumps(time_s, (2.0,), 0.25) - 0.5 * _window(time_s, 9.4, 10.0)
    blink = np.clip(_bumps(time_s, (0.55, 2.95, 3.85, 5.02, 6.15, 8.15, 10.35, 11.55), 0.065), 0, 1)
    brows = (
        0.9 * _window(time_s, 7.1, 7.7) + 0.6 * _bumps(time_s, (1.3, 2.2, 9.5), 0.16) + 0.4 * _window(time_s, 9.3, 10.1)
    )

    def weighted(strength: NDArray[np.float64], field: Floats) -> NDArray[np.float64]:
        return strength[:, None, None] * field

    change = weighted(speaking * jaw + 0.22 * _window(time_s, 7.0, 7.8), show.jaw)
    change += weighted(smile, show.smile) + weighted(pucker, show.pucker)
    change += weighted(speaking * np.clip(wide, 0, 1) * 0.35, show.smile)
    change += weighted(0.5 * _window(time_s, 6.9, 7.9) + 0.4 * speaking * np.clip(jaw, 0, 1), show.part)
    change += weighted(speaking * press, show.press)
    change += weighted(np.clip(blink + 0.12 * np.clip(look_y, 0, 1), 0, 1), show.blink)
    change += weighted(np.clip(smile, 0, 1), show.squint) + weighted(brows, show.brows)
    for eye in (0, 1):
        iris = regions.IRISES[eye]
        gap = float(rest.lid_openings[eye].mean() / rest.width)
        change[:, iris, 0] += (0.042 * look_x)[:, None]
        change[:, iris, 1] += (0.35 * gap * look_y + 0.15 * gap * blink)[:, None]

    pivot = (rest.axes.T @ rest.neck) / rest.width
    head = rest.canonical / rest.width - pivot
    faces = np.empty((len(time_s), 478, 3))
    neck = pivot - rest.canonical[regions.EYE_CORNERS.ravel()].mean(0) / rest.width
    for k in range(len(time_s)):
        turn = rotation_matrix(np.radians([pitch[k], -yaw[k], roll[k]]))
        faces[k] = np.exp(nearer[k]) * (head + change[k]) @ turn.T + neck + (across[k], 0.02 * np.sin(time_s[k]), 0)
    faces += _jitter(len(time_s), noise)
    return (time_s * 1e6).astype(np.int64) + 1, (faces * FACE_WIDTH + np.array(CENTRE)).astype(np.float32)


def _window(time_s: NDArray[np.float64], begin: float, end: float, ramp: float = 0.35) -> NDArray[np.float64]:
    """0 → 1 at `begin` and 1 → 0 at `end`, each eased over `ramp` seconds."""
    up, down = (np.clip((time_s - edge) / ramp + 0.5, 0, 1) for edge in (begin, end))
    return np.asarray(up * up * (3 - 2 * up) - down * down * (3 - 2 * down))


def _bumps(time_s: NDArray[np.float64], centres: tuple[float, ...], width_s: float) -> NDArray[np.float64]:
    return np.asarray(sum(np.exp(-(((time_s - c) / width_s) ** 2)) for c in centres))


def _speech(time_s: NDArray[np.float64], noise: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Jaw [0, 1], lip width [-1, 1] and lip closure [0, 1] of made-up syllables, four to five a second."""
    jaw, wide, press = (np.zeros_like(time_s) for _ in range(3))
    now = 0.0
    while now < time_s[-1]:
        length = noise.uniform(0.18, 0.27)
        vowel = np.exp(-(((time_s - now - 0.5 * length) / (0.36 * length)) ** 2))
        jaw += noise.uniform(0.18, 0.75) * vowel
        wide += noise.uniform(-1, 1) * np.exp(-(((time_s - now - 0.5 * length) / (0.6 * length)) ** 2))
        if noise.random() < 0.4:
            press += np.exp(-(((time_s - now) / 0.05) ** 2))
        now += length
    return np.clip(jaw - 0.5 * press, 0, 1), np.clip(wide, -1, 1), np.clip(press, 0, 1)


def _jitter(frames: int, noise: np.random.Generator) -> NDArray[np.float64]:
    """What a landmark detector trembles by: a little of the whole face, less of each point. Unit: face widths."""
    whole = noise.normal(0, 0.0009, (frames, 1, 3))
    each = noise.normal(0, 0.0007, (frames, 478, 3))
    for k in range(1, frames):
        each[k] = 0.6 * each[k - 1] + 0.8 * each[k]
    return whole + each
