"""How people move: speech, expressions, blinks, glances, nods. Smooth in time, at any frame rate.

F frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from training.heads.expression import INDEX, NAMES

Floats = NDArray[np.float64]

RATE_HZ: Final = 96.0
"""Motion is made at this rate and then read at the frames' times."""
VISEMES: Final[dict[str, dict[str, float]]] = {
    "rest": {},
    "a": {"jaw_open": 0.6, "lower_lip_down": 0.2, "upper_lip_up": 0.15},
    "e": {"jaw_open": 0.3, "stretch": 0.45, "upper_lip_up": 0.25, "lower_lip_down": 0.35},
    "i": {"jaw_open": 0.14, "stretch": 0.6, "upper_lip_up": 0.3, "lower_lip_down": 0.45},
    "o": {"jaw_open": 0.42, "funnel": 0.7},
    "u": {"jaw_open": 0.14, "pucker": 0.85, "funnel": 0.2},
    "m": {"press": 0.6},
    "f": {"jaw_open": 0.06, "upper_lip_up": 0.35, "press": 0.2},
    "s": {"jaw_open": 0.05, "stretch": 0.25, "upper_lip_up": 0.45, "lower_lip_down": 0.6},
    "l": {"jaw_open": 0.32, "upper_lip_up": 0.2, "lower_lip_down": 0.25},
}
EXPRESSIONS: Final[dict[str, dict[str, float]]] = {
    "smile": {"smile": 0.6, "squint": 0.25},
    "grin": {"smile": 0.85, "upper_lip_up": 0.6, "lower_lip_down": 0.35, "squint": 0.5, "jaw_open": 0.08},
    "laugh": {"smile": 0.9, "jaw_open": 0.5, "upper_lip_up": 0.5, "squint": 0.7},
    "surprise": {"jaw_open": 0.55, "wide": 0.9, "brow_inner_up": 0.9, "brow_outer_up": 0.9},
    "shout": {"jaw_open": 1.0, "upper_lip_up": 0.5, "lower_lip_down": 0.5, "brow_down": 0.4},
    "anger": {"brow_down": 0.9, "squint": 0.4, "press": 0.5, "sneer": 0.3},
    "disgust": {"sneer": 0.9, "brow_down": 0.5, "upper_lip_up": 0.7, "squint": 0.4},
    "sadness": {"frown": 0.8, "brow_inner_up": 0.8},
    "kiss": {"pucker": 1.0},
    "puff": {"cheek_puff": 0.9, "press": 0.3},
    "teeth": {"stretch": 0.7, "upper_lip_up": 0.9, "lower_lip_down": 0.9},
    "doubt": {"brow_outer_up": 0.8, "frown": 0.3, "jaw_side": 0.5},
}
_PAIRED: Final = ("smile", "frown", "stretch", "blink", "squint", "wide", "brow_outer_up", "brow_down")


@dataclass(frozen=True, eq=False)
class Performance:
    """What a person does, frame by frame.

    Attributes:
        weights: (F, shapes) of `expression.NAMES`.
        head_rad: (F, 3) yaw to the subject's left, pitch up, roll to the subject's left.
        head_cm: (F, 3) the head against the shoulders.
        body_cm: (F, 3) the shoulders against the room.
        body_rad: (F, 3) the same as rotation.
        gaze_rad: (F, 2) to the subject's left, up; against the head.
        tongue_cm: (F,) how far the tongue is raised.
    """

    weights: Floats
    head_rad: Floats
    head_cm: Floats
    body_cm: Floats
    body_rad: Floats
    gaze_rad: Floats
    tongue_cm: Floats

    def __len__(self) -> int:
        """Frames."""
        return len(self.weights)


def perform(rng: np.random.Generator, frames: int, fps: float, lively: float = 1.0) -> Performance:
    """Random acting of `frames` frames; `lively` scales head motion and the number of expressions."""
    samples = int(np.ceil(frames / fps * RATE_HZ)) + 1
    weights = np.zeros((samples, len(NAMES)))
    speaking = rng.random() < 0.72
    mouth = np.zeros_like(weights)
    if speaking:
        mouth += rng.uniform(0.45, 1.25) * _speech(rng, samples)
    weights += mouth
    for _ in range(int(rng.poisson(1.1 * lively))):
        weights += _event(rng, samples)
    if rng.random() < 0.45:
        weights += rng.uniform(0.1, 0.9) * _spread(rng, str(rng.choice(["smile", "grin", "sadness", "anger"])))
    for name in ("brow_inner_up", "brow_outer_up", "brow_down"):
        lift = np.clip(_wander(rng, samples, 0.8) - 0.8, 0, 1.5)[:, None]
        weights += lift * _vector({name: 0.7})
    openness = (
        weights[:, INDEX["jaw_open"]] * 3 + weights[:, INDEX["upper_lip_up"]] + weights[:, INDEX["lower_lip_down"]]
    )
    weights[:, INDEX["lips_close"]] += rng.uniform(0.7, 1.1) * np.clip(1 - 1.5 * openness, 0, 1)
    gaze = _glances(rng, samples)
    lids = _blinks(rng, samples) + np.clip(-gaze[:, 1], 0, 0.6) * 0.9 + np.clip(rng.normal(0.0, 0.08), -0.1, 0.25)
    for side in ("right", "left"):
        column = INDEX[f"blink_{side}"]
        weights[:, column] = np.clip(weights[:, column] + lids, -0.15, 1)
    weights = np.clip(weights, -0.4, 1.15)
    range_rad = rng.uniform(0.2, 1.0) * lively * np.array((0.36, 0.2, 0.14))
    head = np.stack([_wander(rng, samples, rng.uniform(0.25, 1.1)) for _ in range(3)], 1) * range_rad
    if rng.random() < 0.3:
        nod = np.sin(2 * np.pi * rng.uniform(0.8, 2.2) * np.arange(samples) / RATE_HZ + rng.uniform(0, 6))
        head[:, int(rng.integers(2))] += rng.uniform(0.03, 0.14) * lively * nod
    head += rng.normal(0, (0.16, 0.08, 0.05))
    travel = rng.uniform(0.2, 1.0) * lively
    body = np.stack([_wander(rng, samples, rng.uniform(0.15, 0.6)) for _ in range(3)], 1) * travel * (2.2, 1.0, 3.5)
    slide = np.stack([_wander(rng, samples, 0.5) for _ in range(3)], 1) * 0.35
    sway = np.stack([_wander(rng, samples, 0.3) for _ in range(3)], 1) * 0.04 * lively
    tongue = np.clip(0.6 * _wander(rng, samples, 5.0), 0, 1.0)
    places = np.linspace(0, samples - 1, frames) if frames > 1 else np.zeros(1)

    def read(curve: Floats) -> Floats:
        low = np.minimum(places.astype(int), samples - 2)
        share = (places - low).reshape(-1, *(1,) * (curve.ndim - 1))
        return np.asarray(curve[low] * (1 - share) + curve[low + 1] * share)

    return Performance(*(read(c) for c in (weights, head, slide, body, sway, gaze, tongue)))


def still(rng: np.random.Generator) -> Performance:
    """One frame as people have it on a portrait: mostly calm, often smiling, now and then caught in a word."""
    act = perform(rng, 1, 24.0, lively=0.6)
    weights = np.zeros_like(act.weights)
    chance = rng.random()
    if chance < 0.25:
        weights += _spread(rng, str(rng.choice(["smile", "grin", "laugh"]))) * rng.uniform(0.4, 1)
    elif chance < 0.45:
        weights += act.weights
    openness = float(3 * weights[0, INDEX["jaw_open"]] + weights[0, INDEX["upper_lip_up"]])
    weights[0, INDEX["lips_close"]] = rng.uniform(0.7, 1.1) * np.clip(1 - 1.5 * openness, 0, 1)
    for side in ("right", "left"):
        weights[0, INDEX[f"blink_{side}"]] = np.clip(rng.normal(0.02, 0.08), -0.1, 0.3)
    gaze = act.gaze_rad * 0.4
    zero = np.zeros((1, 3))
    return Performance(weights, 0.7 * act.head_rad, zero, zero, zero, gaze, np.zeros(1))


def _vector(values: dict[str, float]) -> Floats:
    """(shapes,): names without a side count for both."""
    vector = np.zeros(len(NAMES))
    for name, value in values.items():
        for full in (f"{name}_right", f"{name}_left") if name in _PAIRED else (name,):
            vector[INDEX[full]] += value
    return vector


def _spread(rng: np.random.Generator, name: str) -> Floats:
    """An expression with the slight asymmetry of real faces."""
    vector = _vector(EXPRESSIONS[name]) * rng.uniform(0.75, 1.2, len(NAMES))
    if rng.random() < 0.15:
        side = "right" if rng.random() < 0.5 else "left"
        for i, full in enumerate(NAMES):
            vector[i] *= 0.3 if full.endswith(side) else 1.0
    return vector


def _speech(rng: np.random.Generator, samples: int) -> Floats:
    """Syllables with pauses, coarticulated: every sound is blended into its neighbours."""
    track = np.zeros((samples, len(NAMES)))
    vowels, consonants = ("a", "e", "i", "o", "u"), ("m", "f", "s", "l", "rest")
    at = -int(rng.uniform(0, 0.5) * RATE_HZ)
    tempo = rng.uniform(0.8, 1.35)
    while at < samples:
        for group, low, high in ((consonants, 0.05, 0.12), (vowels, 0.08, 0.22)):
            length = max(2, int(rng.uniform(low, high) / tempo * RATE_HZ))
            sound = _vector(VISEMES[str(rng.choice(group))]) * rng.uniform(0.55, 1.15)
            track[max(at, 0) : max(at + length, 0)] = sound
            at += length
        if rng.random() < 0.1:
            at += int(rng.uniform(0.15, 0.7) * RATE_HZ)
    return np.asarray(gaussian_filter1d(track, 0.034 * RATE_HZ, axis=0, mode="nearest"))


def _event(rng: np.random.Generator, samples: int) -> Floats:
    """An expression that comes and goes."""
    vector = _spread(rng, str(rng.choice(list(EXPRESSIONS)))) * rng.uniform(0.3, 1.0)
    time = np.arange(samples) / RATE_HZ
    start, length = rng.uniform(-0.6, samples / RATE_HZ), rng.uniform(0.3, 1.8)
    rise, fall = rng.uniform(0.04, 0.16), rng.uniform(0.06, 0.25)
    shape = 1 / (1 + np.exp(-(time - start) / rise)) - 1 / (1 + np.exp(-(time - start - length) / fall))
    return np.asarray(np.clip(shape, 0, 1)[:, None] * vector)


def _blinks(rng: np.random.Generator, samples: int) -> Floats:
    """Closing takes about 80 ms, opening twice as long; some are half, some are long."""
    time, curve = np.arange(samples) / RATE_HZ, np.zeros(samples)
    at = rng.uniform(-1.0, 2.0)
    while at < samples / RATE_HZ:
        closing, hold, opening = rng.uniform(0.06, 0.11), rng.exponential(0.05), rng.uniform(0.1, 0.22)
        up, down = (time - at) / closing, (at + closing + hold + opening - time) / opening
        depth = rng.uniform(0.4, 0.9) if rng.random() < 0.12 else 1.0
        curve = np.maximum(curve, depth * _ease(np.minimum(up, down)))
        at += rng.gamma(2.0, 1.1) + 0.4
    return curve


def _glances(rng: np.random.Generator, samples: int) -> Floats:
    """Fixations with quick jumps between them."""
    track, at = np.zeros((samples, 2)), 0
    wide = rng.uniform(0.3, 1.0)
    while at < samples:
        length = int(rng.gamma(2.0, 0.5) * RATE_HZ) + 8
        track[at : at + length] = rng.normal(0, (0.2, 0.1), 2) * wide * (rng.random() < 0.75)
        at += length
    return np.asarray(gaussian_filter1d(track, 0.012 * RATE_HZ, axis=0, mode="nearest").clip(-0.6, 0.6))


def _wander(rng: np.random.Generator, samples: int, cutoff_hz: float) -> Floats:
    """A slow random walk around zero with unit deviation over a long time."""
    reach = RATE_HZ / (2 * np.pi * cutoff_hz)
    pad = int(4 * reach) + 1
    raw = gaussian_filter1d(rng.standard_normal(samples + 2 * pad), reach, mode="reflect")[pad : pad + samples]
    return np.asarray(raw * np.sqrt(2 * np.sqrt(np.pi) * reach))


def _ease(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
