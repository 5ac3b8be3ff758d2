"""Films a person: pictures, exact landmarks and mattes.

F frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.heads.acting import Performance, perform, still
from training.heads.backdrop import draw_backdrop
from training.heads.camera import Camera, draw_camera
from training.heads.lighting import draw_lights
from training.heads.person import Person
from training.heads.raster import Lights, draw

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class FilmConfig:
    """How people are filmed.

    Attributes:
        side_px: side of the square picture.
        oversampling: pictures are drawn so many times larger and averaged down.
        faces_across: how many faces would fit below each other.
        fps: frames per second.
    """

    side_px: int = 384
    oversampling: float = 1.25
    faces_across: float = 2.2
    fps: float = 24.0


@dataclass(frozen=True, eq=False)
class Take:
    """One picture.

    Attributes:
        image: (H, W, 3) uint8 RGB as the camera delivers it.
        landmarks: (478, 3) exact, in pixels; z in the same unit, negative towards the camera.
        alpha: (H, W) uint8, 255 = person.
        clean: (H, W, 3) uint8 RGB before the camera spoils it.
    """

    image: Pixels
    landmarks: Floats
    alpha: Pixels
    clean: Pixels


class Scene:
    """A person, a room, light and a camera. Everything follows from the seed."""

    def __init__(self, seed: int | tuple[int, ...], config: FilmConfig | None = None) -> None:
        self.config = config or FilmConfig()
        self._rng = np.random.default_rng(seed)
        self.person = Person(self._rng)
        self.lights: Lights = draw_lights(self._rng)
        self.camera: Camera = draw_camera(self._rng, self.config.side_px, self.config.faces_across)
        drawn = round(self.config.side_px * self.config.oversampling)
        self._backdrop = draw_backdrop(self._rng, drawn)
        self.portrait = still(self._rng)

    @property
    def backdrop(self) -> Pixels:
        """(H, W, 3) uint8 RGB, the room without the person."""
        return _shrunk(self._backdrop, self.config.side_px)

    def act(self, frames: int, lively: float = 1.0) -> Performance:
        """The person does something for some frames; every call something else."""
        return perform(self._rng, frames, self.config.fps, lively)

    def take(self, act: Performance, frame: int, exposure: int = 0) -> Take:
        """Draws one frame; `exposure` numbers pictures for the camera's noise."""
        config, camera = self.config, self.camera
        surface, points = self.person.pose(act, frame)
        screen = camera.project(surface.points.astype(np.float64)).astype(np.float32)
        scale = len(self._backdrop) / config.side_px
        screen[:, :2] = (screen[:, :2] + 0.5) * scale - 0.5
        canvas = self._backdrop.copy()
        covered, _ = draw(surface, np.ascontiguousarray(screen), self.lights, canvas)
        clean = _shrunk(canvas, config.side_px)
        alpha = _shrunk(np.where(covered, np.uint8(255), np.uint8(0)), config.side_px)
        return Take(camera.develop(clean, exposure), camera.landmarks(points), alpha, clean)


MIN_SCALE: Final = 1.01


def _shrunk(image: Pixels, side: int) -> Pixels:
    if len(image) < side * MIN_SCALE:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
