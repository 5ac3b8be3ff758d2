"""A camera: perspective, then the blur, noise and compression of a cheap one.

World space is centimetres, x right, y up, z towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and what it does to a picture.

    Attributes:
        distance_cm: from the origin.
        px_per_cm: of things at the origin, in output pixels.
        centre_px: column and row of the origin.
        blur_px: of the lens.
        noise: deviation of a pixel's noise, grey levels.
        quality: of its JPEG compression; 0 = none.
        seed: of the noise.
    """

    distance_cm: float
    px_per_cm: float
    centre_px: tuple[float, float]
    blur_px: float
    noise: float
    quality: int
    seed: int

    def project(self, points: Floats) -> Floats:
        """(N, 3): column and row in output pixels, and distance to the camera in centimetres."""
        away = self.distance_cm - points[:, 2]
        zoom = self.px_per_cm * self.distance_cm / away
        return np.stack([self.centre_px[0] + zoom * points[:, 0], self.centre_px[1] - zoom * points[:, 1], away], 1)

    def landmarks(self, points: Floats) -> Floats:
        """(N, 3) as MediaPipe gives them: column and row, and z in the same unit, 0 at the head's middle."""
        seen = self.project(points)
        seen[:, 2] = (points[:, 2].mean() - points[:, 2]) * self.px_per_cm
        return seen

    def develop(self, image: Pixels, frame: int) -> Pixels:
        """What comes out of the camera; the same for the same frame."""
        if self.blur_px > 0.25:
            image = cv2.GaussianBlur(image, (0, 0), self.blur_px)
        if self.noise > 0.3:
            rng = np.random.default_rng((self.seed, frame))
            grain = rng.integers(0, 256, (image.shape[0], image.shape[1] // 2 + 1, 3), np.uint8, endpoint=False)
            # Two bytes' worth of uniform noise is near enough to a bell, and cheap.
            grain = np.concatenate([grain, 255 - np.roll(grain, 7, 0)], 1)[:, : image.shape[1]].astype(np.int16) - 128
            image = np.clip(image + (grain * (self.noise / 74)).astype(np.int16), 0, 255).astype(np.uint8)
        if self.quality:
            packed = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=self.quality)
            image = simplejpeg.decode_jpeg(packed)
        return image


def draw_camera(rng: np.random.Generator, side: int, faces_across: float) -> Camera:
    """A camera in front of a person whose face is about 1 / `faces_across` of the picture's side high."""
    zoom = np.exp(rng.normal(0, 0.09))
    return Camera(
        distance_cm=float(rng.uniform(42, 130)),
        px_per_cm=float(side / faces_across / 17.5 * zoom),
        centre_px=(side * (0.5 + rng.normal(0, 0.03)), side * (0.40 + rng.normal(0, 0.03))),
        blur_px=float(abs(rng.normal(0, 0.6))) if rng.random() < 0.6 else 0.0,
        noise=float(abs(rng.normal(0, 2.5))) if rng.random() < 0.7 else 0.0,
        quality=int(rng.integers(45, 96)) if rng.random() < 0.7 else 0,
        seed=int(rng.integers(2**31)),
    )
