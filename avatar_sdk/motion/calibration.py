"""From a driver's face to the drive of one portrait."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import drive
from avatar_sdk.motion.regions import (
    EYE_CORNERS,
    IRISES,
    LOWER_LIDS,
    LOWER_LIP,
    MOUTH_CORNERS,
    UPPER_LIDS,
    UPPER_LIP,
)
from avatar_sdk.motion.rigid import SimilarityFit, rotation_vector
from avatar_sdk.motion.shape import FaceShape
from avatar_sdk.topology import RIGID

Floats = NDArray[np.float32]

CLOSED_LIDS = 0.01
"""Lid gap over eye width at which MediaPipe's landmarks show a closed eye, whoever's eye it is."""
CLOSED_LIPS = 0.02
"""Lip gap over face width below which a mouth counts as closed."""
UPPER_LID_SHARE, UPPER_LIP_SHARE = 0.8, 0.35
"""How much of a corrected opening the upper part contributes; the lower part does the rest."""
PROPORTION_RANGE = (0.7, 1.4)
"""Beyond this, proportions come from an expression at rest (a portrait that grins) rather than from the face."""
NARROW_MOUTH, WIDER_MOUTH = 0.38, 1.12
"""Mouth width over face width of pursed lips, and how much wider than another a mouth is without smiling."""
RELAXED_SHARE, SMILE_LIFT = 0.8, 0.5
"""How much of a portrait's grin goes while its mouth is busy, and how far corners sink per way inwards."""
MOUTH_REACH = 0.12
"""How far the skin around the lips follows them. Unit: face widths."""

PAIR_UPPER: Final = np.concatenate([UPPER_LIDS.ravel(), UPPER_LIP[-1]])
PAIR_LOWER: Final = np.concatenate([LOWER_LIDS.ravel(), LOWER_LIP[-1]])
"""(23,) what closes upon each other: 14 pairs of lid landmarks, 9 of inner lips."""
LIPS: Final = slice(UPPER_LIDS.size, None)


def _pair_shares() -> Floats:
    """(478, 23) how far each landmark goes down when a pair opens by 1; the whole lip moves with its inner edge."""
    shares = np.zeros((478, len(PAIR_UPPER)), np.float32)
    lids = np.arange(UPPER_LIDS.size)
    shares[UPPER_LIDS.ravel(), lids], shares[LOWER_LIDS.ravel(), lids] = -UPPER_LID_SHARE, 1 - UPPER_LID_SHARE
    for upper, lower in zip(UPPER_LIP, LOWER_LIP, strict=True):
        lips = np.arange(len(PAIR_UPPER))[LIPS]
        shares[upper, lips], shares[lower, lips] = -UPPER_LIP_SHARE, 1 - UPPER_LIP_SHARE
    return shares


PAIR_SHARES: Final = _pair_shares()


@dataclass(frozen=True, eq=False)
class Reading:
    """What one driver face says.

    Attributes:
        drive: (drive.SIZE,) float32.
        mouth_motion: how far lips and mouth corners are from their rest. Unit: face widths.
    """

    drive: Floats
    mouth_motion: float


class Calibration:
    """Compares one driver at rest with one portrait, and reads the driver's faces with it.

    Every correction of proportions is a ratio of the two faces, so it vanishes when they agree: a portrait made from
    the driver's own neutral frame is driven to exactly the driver's landmarks.
    """

    def __init__(self, portrait: FaceShape, neutral: FaceShape, share: Floats, reach: Floats) -> None:
        """`share` (478, 3) and `reach` (478,) are the portrait's `part_weights`."""
        self.portrait = portrait
        self.neutral = neutral
        self._fit = SimilarityFit(neutral.landmarks[RIGID].astype(np.float64))
        ratio = portrait.width / neutral.width
        eyes = _bounded(portrait.eye_widths / (ratio * neutral.eye_widths))
        brows = _bounded(portrait.brow_height / (ratio * neutral.brow_height))
        mouth = _bounded(portrait.mouth_width / (ratio * neutral.mouth_width))
        jaw = _bounded(portrait.lower_height / (ratio * neutral.lower_height))
        self._eyes = eyes.astype(np.float32)[:, None, None]
        close_lids, widen_lids = _lid_factors(portrait, neutral, eyes)
        per_part = np.array([[eyes.mean(), close_lids.mean(), 1.0], [1.0, brows, 1.0], [mouth, jaw, jaw]])
        self._proportions = (1 + (share * reach[:, None]) @ (per_part - 1)).astype(np.float32)
        self._own_gaps = (_gaps(portrait) / ratio).astype(np.float32)
        self._drivers_gaps = _gaps(neutral)
        closed = CLOSED_LIPS * neutral.width
        at_rest, driver_at_rest = (closed + max(float(g[LIPS].mean()), 0) for g in (self._own_gaps, self._drivers_gaps))
        self._closing = _per_pair(close_lids, jaw * min(1.0, at_rest / driver_at_rest))
        self._opening = _per_pair(widen_lids, jaw)
        self._to_portrait = (portrait.axes.T / neutral.width).astype(np.float32)
        self._turn = portrait.axes @ neutral.axes.T
        self.relaxation = self._relaxation(np.float32(jaw))

    def read(self, face: Floats) -> Reading:
        """Splits (478, 3) driver landmarks into rigid motion and expression, both fitted to the portrait."""
        neutral = self.neutral
        fit = self._fit.to(face[RIGID].astype(np.float64))
        out = drive.still()
        out[drive.ROTATION] = self._turn @ rotation_vector(fit.rotation)
        out[drive.APPROACH] = math.log(fit.scale)
        neck = fit.scale * fit.rotation @ neutral.neck + fit.translation
        out[drive.TRAVEL] = (neck - neutral.neck) / neutral.width
        to_canonical = (fit.rotation @ neutral.axes / fit.scale).astype(np.float32)
        change = (face - fit.translation.astype(np.float32)) @ to_canonical
        change -= neutral.canonical
        fitted = change * self._proportions
        self._fit_irises(change, fitted)
        lips = self._fit_gaps(change, fitted)[LIPS]
        np.matmul(fitted, self._to_portrait, out=out[drive.FACE].reshape(478, 3))
        parted = float(np.add.reduce(np.abs(lips))) / len(lips)
        return Reading(out, max(parted, _sinking_of_corners(change)) / neutral.width)

    def _fit_irises(self, change: Floats, fitted: Floats) -> None:
        """Gaze is the iris against the eye corners, in eye widths."""
        before = change[EYE_CORNERS[:, 0]] + change[EYE_CORNERS[:, 1]]
        after = fitted[EYE_CORNERS[:, 0]] + fitted[EYE_CORNERS[:, 1]]
        fitted[IRISES] = change[IRISES] * self._eyes + (0.5 * (after - self._eyes[:, 0] * before))[:, None]

    def _fit_gaps(self, change: Floats, fitted: Floats) -> Floats:
        """The driver's closed eye or mouth closes the portrait's, however wide either is open at rest.

        Returns the driver's change of each gap.
        """
        opening = change[PAIR_LOWER, 1] - change[PAIR_UPPER, 1]
        wanted = self._closing * np.minimum(opening, 0) + self._opening * np.maximum(opening, 0)
        # A gap shrinks to nothing, or to less where the driver's or the portrait's own landmarks cross.
        floor = np.minimum(np.minimum(self._drivers_gaps + opening, self._own_gaps), 0) - self._own_gaps
        correction = np.maximum(wanted, floor) - (fitted[PAIR_LOWER, 1] - fitted[PAIR_UPPER, 1])
        fitted[:, 1] += PAIR_SHARES @ correction
        return np.asarray(opening)

    def _relaxation(self, jaw: np.float32) -> Floats:
        """Drive (drive.SIZE,) from the portrait's own smile to a mouth like the driver's at rest.

        A portrait that smiles would otherwise show its teeth under every word and grin under every frown. It closes
        what the lips are open beyond the driver's, and takes back most of what the mouth is wider than faces differ by.
        """
        portrait = self.portrait
        excess = np.maximum(self._own_gaps[LIPS] - jaw * self._drivers_gaps[LIPS], 0)
        points = portrait.canonical / np.float32(portrait.width)
        corners = points[MOUTH_CORNERS]
        middle, half_width = corners.mean(0), 0.5 * portrait.mouth_width / portrait.width
        usual = max(self.neutral.mouth_width / self.neutral.width, NARROW_MOUTH)
        grin = max(0.0, 1 - WIDER_MOUTH * usual / (2 * half_width)) * RELAXED_SHARE

        lips = np.concatenate([UPPER_LIP[0], LOWER_LIP[0], MOUTH_CORNERS])
        distance = np.linalg.norm(points[:, None, :2] - points[None, lips, :2], axis=2)
        nearest = distance.argmin(1)
        fade = np.exp(-((distance.min(1) / MOUTH_REACH) ** 2))
        # Upper lip down, lower lip up; landmarks around the mouth follow the lip they are next to.
        closing = np.concatenate([UPPER_LIP_SHARE * excess, (UPPER_LIP_SHARE - 1) * excess, [0.0, 0.0]])[nearest]
        aside = np.clip((points[:, 0] - middle[0]) / half_width, -1, 1)
        field = np.zeros((478, 3), np.float32)
        field[:, 0] = -grin * half_width * self.neutral.width * aside * fade
        field[:, 1] = closing * fade + SMILE_LIFT * grin * half_width * self.neutral.width * aside**2 * fade
        for ring, share in ((UPPER_LIP, UPPER_LIP_SHARE), (LOWER_LIP, UPPER_LIP_SHARE - 1)):
            field[ring, 1] += share * excess - closing[ring] * fade[ring]
        out = drive.still()
        out[drive.FACE] = (field @ self._to_portrait).ravel()
        return out


def _sinking_of_corners(change: Floats) -> float:
    """How far the mouth corners went in and down: away from a smile, not into one."""
    right, left = change[MOUTH_CORNERS, :2].tolist()
    return 0.5 * max(math.hypot(max(right[0], 0), max(right[1], 0)), math.hypot(min(left[0], 0), max(left[1], 0)))


def _bounded(ratio: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.clip(np.asarray(ratio, np.float64), *PROPORTION_RANGE)


def _gaps(shape: FaceShape) -> Floats:
    return np.concatenate([shape.lid_openings.ravel(), shape.lip_openings])


def _per_pair(lids: NDArray[np.float64], lips: float | NDArray[np.float64]) -> Floats:
    """Factors of each pair from one for each eye and one for the mouth."""
    factors = [np.repeat(lids, UPPER_LIDS.shape[1]), np.full(UPPER_LIP.shape[1], lips)]
    return np.asarray(np.concatenate(factors), np.float32)


def _lid_factors(
    portrait: FaceShape, neutral: FaceShape, eyes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much further (closing, widening) the portrait's lids move than the driver's, (2,) each."""
    reach = []
    for shape in (portrait, neutral):
        opening = shape.lid_openings[:, 2:5].mean(1) / shape.eye_widths
        reach.append(np.maximum(opening - CLOSED_LIDS, 0.04))
    close = np.clip(eyes * reach[0] / reach[1], 0.3, 3.0)
    return close, np.minimum(close, eyes)
