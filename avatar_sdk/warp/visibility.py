"""Which parts of the face the portrait shows, and what stands in for the others: the face's other side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.topology import CHIN, FOREHEAD, MESH_LANDMARKS, TRIANGLES

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class VisibilityConfig:
    """When a part of the face counts as hidden in the portrait.

    Attributes:
        facing: cosine between a surface and the view below which it is too oblique to be shown turned.
        advantage: by how much the other side must face the camera better to stand in.
        behind: depth behind another part of the face at which it is covered. Unit: face widths.
    """

    facing: float = 0.05
    advantage: float = 0.25
    behind: float = 0.04


def facing(points: Floats) -> Floats:
    """(T,) cosine between each face triangle and the view: 1 = towards the camera, < 0 = away.

    `points` is (≥ 468, 3) in a unit that is the same along all axes.
    """
    a, b, c = (points[TRIANGLES[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    cosine = normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
    return np.asarray(cosine * np.sign(np.median(cosine)), np.float32)


def mirrored(landmarks: Floats, across: Floats) -> Floats:
    """(468, 3): the skin's landmarks reflected in the plane between the face's halves, whose normal is `across`."""
    skin = landmarks[:MESH_LANDMARKS]
    middle = (landmarks[FOREHEAD] + landmarks[CHIN] + landmarks[168] + landmarks[2]) / 4
    return np.asarray(skin - 2 * ((skin - middle) @ across)[:, None] * across, np.float32)


def hidden(
    landmarks: Floats, across: Floats, depth: Floats, width: float, config: VisibilityConfig
) -> NDArray[np.bool_]:
    """(T,): which face triangles the portrait does not show while it shows their mirror images.

    Args:
        landmarks: (478, 3) in portrait pixels.
        across: (3,) the head's right-to-left axis.
        depth: (H, W) float32, depth of what the portrait shows at each pixel.
        width: the face width in pixels.
        config: thresholds.
    """
    own = facing(landmarks)
    other = facing(mirrored(landmarks, across))
    centre = landmarks[TRIANGLES].mean(1)
    height, breadth = depth.shape
    x = centre[:, 0].round().astype(int).clip(0, breadth - 1)
    y = centre[:, 1].round().astype(int).clip(0, height - 1)
    covered = centre[:, 2] - depth[y, x] > config.behind * width
    return np.asarray(((own < config.facing) | covered) & (other > np.maximum(own, 0) + config.advantage))
