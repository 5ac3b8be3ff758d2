"""From a driver's face to the drive of one portrait."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
from avatar_sdk.motion.shape import FaceShape, gaps
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


@dataclass(frozen=True, eq=False)
class Reading:
    """What one driver face says.

    Attributes:
        drive: (drive.SIZE,) float32.
        mouth_motion: how far lips and mouth corners are from their rest. Unit: face widths.
        residual: misfit of the rigid points. Unit: face widths.
    """

    drive: Floats
    mouth_motion: float
    residual: float


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
        self._close_lids, self._widen_lids = _lid_factors(portrait, neutral, eyes)
        lids = float(self._close_lids.mean())
        per_part = np.array([[eyes.mean(), lids, 1.0], [1.0, brows, 1.0], [mouth, jaw, jaw]])
        proportions = 1 + (share * reach[:, None]) @ (per_part - 1)
        self._proportions = proportions.astype(np.float32)
        self._lid_gaps = portrait.lid_openings / np.float32(ratio)
        self._lip_gaps = portrait.lip_openings / np.float32(ratio)
        closed = CLOSED_LIPS * neutral.width
        at_rest, driver_at_rest = float(self._lip_gaps.mean()), float(neutral.lip_openings.mean())
        self._open_lips = np.float32(jaw)
        self._close_lips = np.float32(jaw * min(1.0, (max(at_rest, 0) + closed) / (max(driver_at_rest, 0) + closed)))
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
        self._fit_lids(change, fitted)
        lips = self._fit_lips(change, fitted)
        np.matmul(fitted, self._to_portrait, out=out[drive.FACE].reshape(478, 3))
        residual = fit.residual / (fit.scale * neutral.width)
        parted = float(np.add.reduce(np.abs(lips))) / len(lips)
        return Reading(out, max(parted, _sinking_of_corners(change)) / neutral.width, residual)

    def _fit_irises(self, change: Floats, fitted: Floats) -> None:
        """Gaze is the iris against the eye corners, in eye widths."""
        before = change[EYE_CORNERS[:, 0]] + change[EYE_CORNERS[:, 1]]
        after = fitted[EYE_CORNERS[:, 0]] + fitted[EYE_CORNERS[:, 1]]
        fitted[IRISES] = change[IRISES] * self._eyes + (0.5 * (after - self._eyes[:, 0] * before))[:, None]

    def _fit_lids(self, change: Floats, fitted: Floats) -> None:
        """The driver's closed eye closes the portrait's, however wide either is open at rest."""
        opening = gaps(change, UPPER_LIDS, LOWER_LIDS)
        wanted = self._close_lids * np.minimum(opening, 0) + self._widen_lids * np.maximum(opening, 0)
        wanted = np.maximum(wanted, _floor(self.neutral.lid_openings + opening, self._lid_gaps))
        correction = wanted - gaps(fitted, UPPER_LIDS, LOWER_LIDS)
        fitted[UPPER_LIDS, 1] -= UPPER_LID_SHARE * correction
        fitted[LOWER_LIDS, 1] += (1 - UPPER_LID_SHARE) * correction

    def _fit_lips(self, change: Floats, fitted: Floats) -> Floats:
        """Lips meet but never cross. Returns the driver's change of each opening."""
        opening = gaps(change, UPPER_LIP[-1], LOWER_LIP[-1])
        wanted = self._close_lips * np.minimum(opening, 0) + self._open_lips * np.maximum(opening, 0)
        wanted = np.maximum(wanted, _floor(self.neutral.lip_openings + opening, self._lip_gaps))
        correction = wanted - gaps(fitted, UPPER_LIP[-1], LOWER_LIP[-1])
        fitted[UPPER_LIP, 1] -= UPPER_LIP_SHARE * correction
        fitted[LOWER_LIP, 1] += (1 - UPPER_LIP_SHARE) * correction
        return opening

    def _relaxation(self, jaw: np.float32) -> Floats:
        """Drive (drive.SIZE,) from the portrait's own smile to a mouth like the driver's at rest.

        A portrait that smiles would otherwise show its teeth under every word and grin under every frown. It closes
        what the lips are open beyond the driver's, and takes back most of what the mouth is wider than faces differ by.
        """
        portrait = self.portrait
        excess = np.maximum(self._lip_gaps - jaw * self.neutral.lip_openings, 0)
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


def _floor(drivers_gap: Floats, own_gap: Floats) -> Floats:
    """How far a gap may shrink: to nothing, or to less where the driver's or the portrait's own landmarks cross."""
    return np.asarray(np.minimum(np.minimum(drivers_gap, own_gap), 0) - own_gap)


def _lid_factors(portrait: FaceShape, neutral: FaceShape, eyes: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """How much further (closing, widening) the portrait's lids move than the driver's, (2, 1) each."""
    reach = []
    for shape in (portrait, neutral):
        opening = shape.lid_openings[:, 2:5].mean(1) / shape.eye_widths
        reach.append(np.maximum(opening - CLOSED_LIDS, 0.04))
    close = np.clip(eyes * reach[0] / reach[1], 0.3, 3.0)
    widen = np.minimum(close, eyes)
    return close.astype(np.float32)[:, None], widen.astype(np.float32)[:, None]
