"""Who somebody is: the shape of the face, and the choices that the rest of a person is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT
from training.heads.anatomy import FACE, LIPS, SKIN, lid_opening

Floats = NDArray[np.float64]

HAIR_STYLES: Final = ("bald", "buzz", "short", "medium", "long", "curly")
SKIN_TONES: Final = np.array(
    [(244, 214, 196), (233, 190, 165), (214, 163, 130), (178, 124, 92), (128, 84, 60), (84, 54, 40)]
)
HAIR_TONES: Final = np.array(
    [
        (28, 22, 20), (54, 36, 26), (96, 62, 40), (146, 100, 60),
        (196, 156, 100), (150, 66, 34), (150, 146, 142), (225, 220, 210),
    ]
)  # fmt: skip
WIDEST_EYE: Final = 0.4
"""Height over width of an open eye at rest; MediaPipe reads wider ones too narrow, and their closing too late."""
UNUSUAL: Final = 0.06
"""Share of people with a skin colour no human has: paintings and drawn characters have them too."""


@dataclass(frozen=True, eq=False)
class Identity:
    """Choices; colours are RGB in [0, 1].

    Attributes:
        face: (478, 3) the face at rest, centimetres.
        skin, hair, lips, iris, teeth: colours.
        hair_style: one of `HAIR_STYLES`.
        beard: strength in [0, 1]; 0 = none.
        glasses: whether there are any.
        make_up: strength in [0, 1].
        age: strength of folds and spots, in [0, 1].
    """

    face: Floats
    skin: Floats
    hair: Floats
    lips: Floats
    iris: Floats
    teeth: Floats
    hair_style: str
    beard: float
    glasses: bool
    make_up: float
    age: float


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random person."""
    tone = rng.random() * (len(SKIN_TONES) - 1.001)
    low = int(tone)
    skin = (SKIN_TONES[low] * (low + 1 - tone) + SKIN_TONES[low + 1] * (tone - low)) / 255
    skin = skin * rng.uniform(0.88, 1.08) * np.exp(rng.normal(0, 0.035, 3))
    if rng.random() < UNUSUAL:
        skin = rng.uniform(0.3, 0.9, 3)
    hair = HAIR_TONES[rng.integers(len(HAIR_TONES))] / 255 * rng.uniform(0.7, 1.2)
    if rng.random() < UNUSUAL:
        hair = rng.uniform(0.1, 0.9, 3)
    make_up = rng.uniform(0.3, 1) if rng.random() < 0.35 else 0.0
    beard = rng.uniform(0.15, 1) if make_up == 0 and rng.random() < 0.5 else 0.0
    redder = skin * (0.98, 0.72, 0.74) * rng.uniform(0.85, 1.05)
    lipstick = np.array((rng.uniform(0.5, 0.85), rng.uniform(0.05, 0.35), rng.uniform(0.1, 0.4)))
    iris = np.array(
        [(0.30, 0.18, 0.10), (0.17, 0.10, 0.06), (0.36, 0.46, 0.58), (0.32, 0.38, 0.22), (0.42, 0.42, 0.40)]
    )
    return Identity(
        face=_shape(rng),
        skin=np.clip(skin, 0.04, 0.97),
        hair=np.clip(hair, 0.02, 0.95),
        lips=np.clip(redder * (1 - 0.8 * make_up) + lipstick * 0.8 * make_up, 0.03, 0.95),
        iris=iris[rng.choice(5, p=(0.35, 0.25, 0.18, 0.12, 0.10))] * rng.uniform(0.75, 1.3),
        teeth=np.clip(np.array((0.95, 0.925, 0.86)) + rng.normal(0, (0.012, 0.016, 0.03)), 0, 1),
        hair_style=str(rng.choice(HAIR_STYLES, p=(0.08, 0.1, 0.28, 0.2, 0.24, 0.1))),
        beard=float(beard),
        glasses=bool(rng.random() < 0.13),
        make_up=float(make_up),
        age=float(rng.random() ** 1.5),
    )


def _shape(rng: np.random.Generator) -> Floats:
    """The average face with random soft displacements, mostly symmetric, and its features scaled."""
    face = FACE.copy()
    for count, amplitude, low, high, symmetric in ((14, 0.26, 1.5, 4.5, True), (8, 0.05, 1.5, 4.0, False)):
        for _ in range(count):
            centre, push, reach = SKIN[rng.integers(len(SKIN))], rng.normal(0, amplitude, 3), rng.uniform(low, high)
            face += _bump(FACE, centre, reach) * push
            if symmetric:
                face += _bump(FACE, centre * (-1, 1, 1), reach) * (push * (-1, 1, 1))
    face *= rng.uniform((0.92, 0.92, 0.92), (1.08, 1.08, 1.1))
    wide, tall = rng.normal(0.0, 0.08), rng.normal(-0.06, 0.13)
    for eye in (EYE_RIGHT, EYE_LEFT):
        face = _scaled(face, eye, (wide, tall, 0), 1.7)
    for eye, opening in zip((EYE_RIGHT, EYE_LEFT), lid_opening(face), strict=True):
        face = _scaled(face, eye, (0, min(0.0, WIDEST_EYE / opening - 1), 0), 1.7)
    face = _scaled(face, LIPS, (rng.normal(0.02, 0.12), rng.normal(0.05, 0.2), rng.normal(0, 0.05)), 2.2)
    face = _scaled(face, np.array([1, 4, 5, 98, 327]), rng.normal(0, (0.14, 0.1, 0.12)), 2.0)
    return _scaled(face, np.array([152, 148, 377]), (rng.normal(0, 0.12), rng.normal(0, 0.08), 0), 4.0)


def _bump(points: Floats, centre: Floats, reach: float) -> Floats:
    return np.asarray(np.exp(-((points - centre) ** 2).sum(1) / (2 * reach**2))[:, None])


def _scaled(face: Floats, feature: NDArray[np.int64], by: object, reach: float) -> Floats:
    """Scales what lies around a feature by 1 + `by` along the axes."""
    centre = face[feature].mean(0)
    return np.asarray(face + _bump(face, centre, reach) * (face - centre) * np.asarray(by, np.float64))
