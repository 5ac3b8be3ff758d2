"""A small painter: soft shapes, strokes and gradients on a supersampled canvas."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.float32]
Points = list[tuple[float, float]] | Floats
Color = tuple[int, int, int]

SUPERSAMPLING = 2
_FRACTION_BITS = 6


def curve(points: Points, *, closed: bool = False, per_segment: int = 24) -> Floats:
    """A smooth line through the points (centripetal enough: Catmull-Rom), as (N, 2)."""
    p = np.asarray(points, np.float32)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, per_segment, endpoint=False, dtype=np.float32)[:, None]
    a, b, c, d = (p[k : len(p) - 3 + k, None] for k in range(4))
    line = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    line = line.reshape(-1, 2)
    return line if closed else np.concatenate([line, p[-2:-1]])


def mirrored(points: Points) -> Floats:
    """The points on the other side of the face."""
    return np.asarray(points, np.float32) * np.array([-1, 1], np.float32)


def _ribbon(path: Floats, width: float, taper: tuple[float, ...]) -> Floats:
    """Outline of a stroke along `path`."""
    along = np.linspace(0, 1, len(path))
    half = 0.5 * width * np.interp(along, np.linspace(0, 1, len(taper)), taper)[:, None].astype(np.float32)
    direction = np.gradient(path, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    offset = half * direction[:, ::-1] * np.array([-1, 1], np.float32)
    return np.concatenate([path + offset, (path - offset)[::-1]])


class Canvas:
    """An RGB picture painted in units of the face: x right, y down, origin between the eyes, 1 = the face's width."""

    def __init__(self, size_px: int, origin_px: tuple[float, float], unit_px: float) -> None:
        self.size = size_px * SUPERSAMPLING
        self.unit = unit_px * SUPERSAMPLING
        self._origin = np.array(origin_px, np.float32) * SUPERSAMPLING
        self.image = np.zeros((self.size, self.size, 3), np.float32)
        rows = (np.arange(self.size, dtype=np.float32) - self._origin[1]) / self.unit
        columns = (np.arange(self.size, dtype=np.float32) - self._origin[0]) / self.unit
        self.x, self.y = np.meshgrid(columns, rows)

    def shape(self, outline: Points, *, blur: float = 0.0, closed: bool = True) -> Mask:
        """Mask in [0, 1] of the smooth closed outline."""
        line = curve(outline, closed=True) if closed else np.asarray(outline, np.float32)
        mask = np.zeros((self.size, self.size), np.uint8)
        cv2.fillPoly(mask, [self._pixels(line)], 255, cv2.LINE_AA, _FRACTION_BITS)
        return self.soften(mask.astype(np.float32) / 255, blur)

    def line(self, points: Points, widths: tuple[float, ...], *, blur: float = 0.0, smooth: bool = True) -> Mask:
        """Mask of a stroke whose width follows `widths` along its length."""
        path = curve(points) if smooth else np.asarray(points, np.float32)
        return self.shape(_ribbon(path, 1.0, widths), blur=blur, closed=False)

    def glow(self, x: float, y: float, radius_x: float, radius_y: float | None = None, power: float = 2.0) -> Mask:
        """Mask of a soft elliptic spot that is 1 in its middle and about 0.4 at its radius."""
        radius_y = radius_y or radius_x
        distance = ((self.x - x) / radius_x) ** 2 + ((self.y - y) / radius_y) ** 2
        return np.exp(-(distance ** (power / 2)))

    def soften(self, mask: Mask, blur: float) -> Mask:
        """Blurs a mask by a Gaussian of `blur` face widths; large ones on a smaller copy."""
        sigma = blur * self.unit
        if sigma < 0.3:
            return mask
        step = max(1, int(sigma // 4))
        if step == 1:
            return cv2.GaussianBlur(mask, (0, 0), sigma)
        small = cv2.resize(mask, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
        return cv2.resize(
            cv2.GaussianBlur(small, (0, 0), sigma / step), mask.shape[::-1], interpolation=cv2.INTER_CUBIC
        )

    def paint(self, mask: Mask, color: Color | Floats, opacity: float = 1.0) -> None:
        """Lays a colour (or a picture of the canvas's size) over the mask."""
        weight = (np.clip(mask, 0, 1) * opacity)[..., None]
        self.image += weight * (np.asarray(color, np.float32) - self.image)

    def light(self, mask: Mask, factor: float | tuple[float, float, float]) -> None:
        """Multiplies what is under the mask: < 1 darkens, > 1 brightens."""
        self.image *= 1 + np.clip(mask, 0, 1)[..., None] * (np.asarray(factor, np.float32) - 1)

    def strands(
        self, paths: list[Floats], colors: Floats, width: float, taper: tuple[float, ...], opacity: float
    ) -> None:
        """Draws many thin tapered hairs, later ones over earlier ones.

        Args:
            paths: (N, 2) lines.
            colors: (len(paths), 3) in [0, 255].
            width: of the thickest part, in face widths.
            taper: widths along a hair as shares of `width`.
            opacity: of the whole layer where any hair is.
        """
        layer = np.clip(self.image, 0, 255).astype(np.uint8)
        for path, color in zip(paths, colors, strict=True):
            cv2.fillPoly(
                layer, [self._pixels(_ribbon(path, width, taper))], color.tolist(), cv2.LINE_AA, _FRACTION_BITS
            )
        self.image += opacity * (layer.astype(np.float32) - self.image)

    def finished(self) -> NDArray[np.uint8]:
        """The picture at its final size, (H, W, 3) uint8 RGB."""
        size = self.size // SUPERSAMPLING
        small = cv2.resize(self.image, (size, size), interpolation=cv2.INTER_AREA)
        return np.clip(small + 0.5, 0, 255).astype(np.uint8)

    def _pixels(self, points: Floats) -> NDArray[np.int32]:
        return np.round((points * self.unit + self._origin) * 2**_FRACTION_BITS).astype(np.int32)
