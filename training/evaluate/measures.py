"""What is measured of one frame.

Regions are convex hulls of the truth's landmarks, grown about their centre. PSNR in dB; AKD = mean landmark distance
over the truth's distance of the outer eye corners; sharpness = mean |Laplacian| over the truth's. MS-SSIM and GMSD look
at a square around mouth or eyes, enlarged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ms_ssim
from skimage.metrics import structural_similarity

from avatar_sdk.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    MESH_LANDMARKS,
    OVAL,
)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

GROWN: Final = {"head": 1.4, "mouth": 1.25, "eyes": 1.7}
REGIONS: Final = ("frame", "head", "mouth", "eyes")
DETAILS: Final = ("mouth", "eyes")
"""Regions whose texture is looked at closely."""
OPEN_MOUTH: Final = 0.06
"""A gap of the lips above this counts as open. Unit: outer-eye distances."""
DETAIL_PX: Final = 192
"""Squares are enlarged to this: five scales of MS-SSIM need more than 160 pixels."""
GMSD_STABILITY: Final = 170.0

AKD: Final = {
    "all": np.arange(MESH_LANDMARKS),
    "mouth": np.r_[LIPS_INNER, LIPS_OUTER],
    "eyes": np.r_[EYE_RIGHT, EYE_LEFT],
    "iris": np.r_[IRIS_RIGHT, IRIS_LEFT],
}


@dataclass(frozen=True, eq=False)
class Truth:
    """One true frame and what is known of it.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        landmarks: (478, 3) float32 pixels.
        masks: region → (S, S) bool.
    """

    image: Pixels
    landmarks: Floats
    masks: Mapping[str, Mask]

    @classmethod
    def of(cls, image: Pixels, landmarks: Floats) -> Truth:
        """With its regions."""
        side = image.shape[0]
        masks = {
            "frame": np.ones((side, side), bool),
            "head": _hull(landmarks, OVAL, GROWN["head"], side),
            "mouth": _hull(landmarks, LIPS_OUTER, GROWN["mouth"], side),
            "eyes": _hull(landmarks, EYE_RIGHT, GROWN["eyes"], side) | _hull(landmarks, EYE_LEFT, GROWN["eyes"], side),
        }
        return cls(image, landmarks, masks)

    @property
    def eye_distance_px(self) -> float:
        """Between the outer corners."""
        return float(np.linalg.norm(self.landmarks[33, :2] - self.landmarks[263, :2]))


def openings(landmarks: Floats) -> dict[str, float]:
    """Gaps of lips and lids. Unit: distances between the outer eye corners."""
    unit = np.linalg.norm(landmarks[33, :2] - landmarks[263, :2])

    def gap(a: int, b: int) -> float:
        return float(np.linalg.norm(landmarks[a, :2] - landmarks[b, :2]) / unit)

    return {"lips": gap(13, 14), "lids": (gap(159, 145) + gap(386, 374)) / 2}


def measure(truth: Truth, image: Pixels, landmarks: Floats | None) -> dict[str, float]:
    """Measure → value; those of the landmarks only where a face is seen in `image` (S, S, 3) uint8 RGB."""
    error = np.square(image.astype(np.float32) - truth.image).mean(-1)
    similar = structural_similarity(image, truth.image, channel_axis=2, full=True, data_range=255)[1].mean(-1)
    sharp, sharp_true = _laplacian(image), _laplacian(truth.image)
    seen: dict[str, float] = {}
    for name, mask in truth.masks.items():
        if not mask.any():
            continue
        seen[f"psnr_{name}"] = float(10 * np.log10(255**2 / max(1e-3, float(error[mask].mean()))))
        seen[f"ssim_{name}"] = float(similar[mask].mean())
        if name in DETAILS:
            seen[f"sharp_{name}"] = float(sharp[mask].mean() / max(1e-3, float(sharp_true[mask].mean())))
            made, true = (_enlarged(picture, mask) for picture in (image, truth.image))
            seen[f"msssim_{name}"] = _ms_ssim(made, true)
            seen[f"gmsd_{name}"] = gmsd(made, true)
    if openings(truth.landmarks)["lips"] > OPEN_MOUTH:
        seen |= {f"{kind}_open": seen[f"{kind}_mouth"] for kind in ("psnr", "ssim", "msssim", "gmsd")}
    if landmarks is not None:
        distance = np.linalg.norm(landmarks[:, :2] - truth.landmarks[:, :2], axis=1) / truth.eye_distance_px
        seen |= {f"akd_{name}": float(distance[points].mean()) for name, points in AKD.items()}
    return seen


def gmsd(made: Pixels, true: Pixels) -> float:
    """Gradient magnitude similarity deviation; 0 = the same. Source: Xue et al. 2014, arXiv 1308.3052, eq. 2 to 5."""
    first, second = (
        cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for x in (made, true)
    )
    kernel = np.array([[1, 0, -1]] * 3, np.float32) / 3
    one, two = (
        np.hypot(cv2.filter2D(x, cv2.CV_32F, kernel), cv2.filter2D(x, cv2.CV_32F, kernel.T)) for x in (first, second)
    )
    similar = (2 * one * two + GMSD_STABILITY) / (one**2 + two**2 + GMSD_STABILITY)
    return float(similar.std())


def _ms_ssim(made: Pixels, true: Pixels) -> float:
    one, two = (torch.from_numpy(x).permute(2, 0, 1)[None].float() for x in (made, true))
    return float(ms_ssim(one, two, data_range=255))


def _hull(landmarks: Floats, points: NDArray[np.int64], grown: float, side: int) -> Mask:
    """(side, side): the convex hull of some landmarks, grown about their centre."""
    outline = landmarks[points, :2]
    centre = outline.mean(0)
    hull = cv2.convexHull((centre + (outline - centre) * grown).astype(np.float32))
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [hull.astype(np.int32)], 1)
    return mask.astype(bool)


def _laplacian(image: Pixels) -> Floats:
    return np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)).astype(np.float32)


def _enlarged(image: Pixels, mask: Mask) -> Pixels:
    """(DETAIL_PX, DETAIL_PX, 3): the square around a region."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    reach = max(np.ptp(rows), np.ptp(columns)) / 2 + 1
    scale = (DETAIL_PX - 1) / (2 * reach)
    x, y = (columns[0] + columns[-1]) / 2 - reach, (rows[0] + rows[-1]) / 2 - reach
    matrix = np.array([[scale, 0, -scale * x], [0, scale, -scale * y]])
    size = (DETAIL_PX, DETAIL_PX)
    out = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)
