"""One face at rest: the proportions that two people are compared by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from avatar_client.errors import InvalidPoseError
from numpy.typing import NDArray

from avatar_sdk.motion.measures import Measures
from avatar_sdk.motion.regions import (
    BROWS,
    EYE_CORNERS,
    LOWER_LIDS,
    LOWER_LIP,
    MOUTH_CORNERS,
    NOSE_BASE,
    UPPER_LIDS,
    UPPER_LIP,
)
from avatar_sdk.topology import CHIN

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

NECK_OFFSET = np.array([0.0, 1.0, 0.45])
"""From between the eyes to where the head turns on the neck, along the head's axes. Unit: face widths."""


@dataclass(frozen=True, eq=False)
class FaceShape:
    """A face's landmarks and what is measured on them once. All lengths in the landmarks' unit.

    Attributes:
        landmarks: (478, 3) as given.
        axes: (3, 3) columns are the head's own axes.
        canonical: (478, 3) landmarks along those axes: x to the subject's left, y down, z back.
        width: distance between the sides of the head.
        neck: (3,) pivot of the head's rotation, in the landmarks' frame.
        eye_widths: (2,) right, left.
        lid_openings: (2, 7) signed gap of each pair of lid landmarks.
        lip_openings: (9,) signed gap of each pair of inner lip landmarks.
        mouth_width: distance of the mouth corners.
        brow_height: mean distance of the brows above the eyes.
        lower_height: from the nose to the chin, the lips' opening left out.
    """

    landmarks: Floats
    axes: Doubles
    canonical: Floats
    width: float
    neck: Doubles
    eye_widths: Floats
    lid_openings: Floats
    lip_openings: Floats
    mouth_width: float
    brow_height: float
    lower_height: float

    @classmethod
    def of(cls, landmarks: Floats) -> FaceShape:
        """Measures (478, 3) landmarks: y down, z away from the camera, all in one unit.

        Raises:
            InvalidPoseError: the landmarks have no finite extent.
        """
        measures = Measures.of(landmarks)
        if measures is None:
            raise InvalidPoseError("the landmarks are no face: they have no finite extent", field="pose.face")
        axes, width = measures.axes, measures.width
        canonical = (landmarks @ axes).astype(np.float32)
        corners = canonical[EYE_CORNERS]
        lip_openings = gaps(canonical, UPPER_LIP[-1], LOWER_LIP[-1])
        lower_height = float(canonical[CHIN, 1] - canonical[NOSE_BASE, 1].mean() - lip_openings.mean())
        between_eyes = axes.T @ measures.between_eyes
        return cls(
            landmarks=landmarks,
            axes=axes,
            canonical=canonical,
            width=width,
            neck=axes @ (between_eyes + width * NECK_OFFSET),
            eye_widths=np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1),
            lid_openings=gaps(canonical, UPPER_LIDS, LOWER_LIDS),
            lip_openings=lip_openings,
            mouth_width=float(np.linalg.norm(canonical[MOUTH_CORNERS[0]] - canonical[MOUTH_CORNERS[1]])),
            brow_height=float(between_eyes[1] - canonical[BROWS, 1].mean()),
            lower_height=max(lower_height, 0.1 * width),
        )


def gaps(canonical: Floats, upper: NDArray[np.int_], lower: NDArray[np.int_]) -> Floats:
    """How far each lower landmark is below its upper one, along the head's own vertical."""
    return np.asarray(canonical[lower, 1] - canonical[upper, 1])
