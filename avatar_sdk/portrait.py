"""A photo, made ready to be moved: everything that is computed once per portrait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Portrait:
    """Attributes:
    image: (H, W, 3) uint8 RGB in [0, 255], the photo at the output's size and field of view.
    landmarks: (478, 3) float32 MediaPipe face landmarks in output pixels; z in the same unit, negative towards the camera.
    alpha: (H, W) uint8, 255 = person.
    background: (H, W, 3) uint8 RGB, what stands behind the person, filled in where the person stood.
    affine: (2, 3) float32, photo pixels → output pixels.
    faces: faces found in the photo; the largest is used.
    """

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    alpha: NDArray[np.uint8]
    background: NDArray[np.uint8]
    affine: NDArray[np.float32]
    faces: int = 1
