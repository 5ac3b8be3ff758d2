"""Triangles to pixels, compiled; no kernel here holds the GIL."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FAR: Final = np.float32(1e9)
"""Depth of a pixel that no triangle covers."""


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, error_model="numpy")
def rasterise(points, triangles, source, map_x, map_y, depth):  # type: ignore[no-untyped-def]
    """Where each output pixel comes from; the nearest triangle wins.

    Args:
        points: (V, 3) float32, x, y in output pixels, z smaller = nearer.
        triangles: (T, 3) int32.
        source: (V, 2) float32, the vertices' places in the source image.
        map_x, map_y, depth: (H, W) float32, written; `depth` is `FAR` where nothing is.
    """
    height, width = depth.shape
    depth[:] = FAR
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-4:
            continue
        top = max(0, int(np.ceil(min(y0, y1, y2))))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2))))
        left = max(0, int(np.ceil(min(x0, x1, x2))))
        right = min(width - 1, int(np.floor(max(x0, x1, x2))))
        if top > bottom or left > right:
            continue
        inverse = np.float32(1) / area
        # Barycentric coordinates of b and c are linear in x and y.
        bx, by = (y2 - y0) * inverse, (x0 - x2) * inverse
        cx, cy = (y0 - y1) * inverse, (x1 - x0) * inverse
        u0, v0 = source[a, 0], source[a, 1]
        ub, vb, zb = source[b, 0] - u0, source[b, 1] - v0, z1 - z0
        uc, vc, zc = source[c, 0] - u0, source[c, 1] - v0, z2 - z0
        du, dv, dz = ub * bx + uc * cx, vb * bx + vc * cx, zb * bx + zc * cx
        for y in range(top, bottom + 1):
            dy = np.float32(y) - y0
            wb = by * dy - bx * x0
            wc = cy * dy - cx * x0
            wa = np.float32(1) - wb - wc
            low, high = np.float32(left), np.float32(right)
            for w, slope in ((wb, bx), (wc, cx), (wa, -bx - cx)):
                if slope > 1e-12:
                    low = max(low, -(w + np.float32(1e-4)) / slope)
                elif slope < -1e-12:
                    high = min(high, -(w + np.float32(1e-4)) / slope)
                elif w < -1e-4:
                    high = np.float32(-1)
            first, last = int(np.ceil(low)), int(np.floor(high))
            u = u0 + ub * wb + uc * wc
            v = v0 + vb * wb + vc * wc
            z = z0 + zb * wb + zc * wc
            for x in range(first, last + 1):
                here = z + dz * np.float32(x)
                if here < depth[y, x]:
                    depth[y, x] = here
                    map_x[y, x] = u + du * np.float32(x)
                    map_y[y, x] = v + dv * np.float32(x)


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, error_model="numpy")
def rasterise_values(points, triangles, values, planes, depth):  # type: ignore[no-untyped-def]
    """Interpolates values at the vertices over the triangles; the nearest triangle wins.

    Args:
        points: (V, 3) float32 as for `rasterise`.
        triangles: (T, 3) int32.
        values: (V, C) float32.
        planes: (C, H, W) float32, written only where a triangle is.
        depth: (H, W) float32, written; `FAR` where nothing is.
    """
    height, width = depth.shape
    depth[:] = FAR
    channels = values.shape[1]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = points[a, 0], points[a, 1]
        x1, y1 = points[b, 0], points[b, 1]
        x2, y2 = points[c, 0], points[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-4:
            continue
        inverse = np.float32(1) / area
        for y in range(max(0, int(np.ceil(min(y0, y1, y2)))), min(height - 1, int(np.floor(max(y0, y1, y2)))) + 1):
            for x in range(max(0, int(np.ceil(min(x0, x1, x2)))), min(width - 1, int(np.floor(max(x0, x1, x2)))) + 1):
                wb = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) * inverse
                wc = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) * inverse
                wa = np.float32(1) - wb - wc
                if wa < -1e-4 or wb < -1e-4 or wc < -1e-4:
                    continue
                z = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
                if z < depth[y, x]:
                    depth[y, x] = z
                    for k in range(channels):
                        planes[k, y, x] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, error_model="numpy")
def paint_over(image, person, map_x, map_y, depth):  # type: ignore[no-untyped-def]
    """Samples the person where `rasterise` found it and lays it over `image`.

    Args:
        image: (H, W, 3) uint8 RGB, holds the background, mutated.
        person: (h, w, 4) uint8 RGBA, colours multiplied by alpha.
        map_x, map_y, depth: (H, W) float32 from `rasterise`.
    """
    height, width = depth.shape
    last_x, last_y = person.shape[1] - 1, person.shape[0] - 1
    for y in range(height):
        for x in range(width):
            if depth[y, x] >= FAR:
                continue
            u = min(max(map_x[y, x], np.float32(0)), np.float32(last_x))
            v = min(max(map_y[y, x], np.float32(0)), np.float32(last_y))
            i, j = min(int(u), last_x - 1), min(int(v), last_y - 1)
            # Weights in 1/256, so that everything after them is integer arithmetic.
            fx, fy = int((u - i) * 256 + np.float32(0.5)), int((v - j) * 256 + np.float32(0.5))
            w11 = fx * fy
            w01 = (fx << 8) - w11
            w10 = (fy << 8) - w11
            w00 = 65536 - (fx << 8) - (fy << 8) + w11
            alpha = (
                person[j, i, 3] * w00
                + person[j, i + 1, 3] * w01
                + person[j + 1, i, 3] * w10
                + person[j + 1, i + 1, 3] * w11
            )
            if alpha == 0:
                continue
            behind = 255 * 65536 - alpha
            for k in range(3):
                colour = (
                    person[j, i, k] * w00
                    + person[j, i + 1, k] * w01
                    + person[j + 1, i, k] * w10
                    + person[j + 1, i + 1, k] * w11
                )
                total = (colour + (image[y, x, k] * (behind >> 8) + 127) // 255 * 256 + 32768) >> 16
                image[y, x, k] = min(total, 255)
