"""Triangles to pixels, compiled; no kernel here holds the GIL."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

FAR: Final = np.float32(1e9)
"""Depth of a pixel that no triangle covers."""


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, error_model="numpy")
def rasterise(points, triangles, source, corners, map_x, map_y, depth):  # type: ignore[no-untyped-def]
    """Where each output pixel comes from; the nearest triangle wins.

    Args:
        points: (V, 3) float32, x, y in output pixels, z smaller = nearer.
        triangles: (T, 3) int32.
        source: (S, 2) float32, places in the source image.
        corners: (T, 3) int32, which of them each triangle shows.
        map_x: (H, W) float32, written where a triangle is.
        map_y: the same.
        depth: (H, W) float32, written; `FAR` where nothing is.
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
        i, j, k = corners[t, 0], corners[t, 1], corners[t, 2]
        u0, v0 = source[i, 0], source[i, 1]
        ub, vb, zb = source[j, 0] - u0, source[j, 1] - v0, z1 - z0
        uc, vc, zc = source[k, 0] - u0, source[k, 1] - v0, z2 - z0
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


def pack_lanes(person: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(h, w, 4) uint8 → (h, w) uint64 with a channel in every 16 bits, so that one product weighs all four."""
    wide = person.astype(np.uint64)
    return np.ascontiguousarray(
        wide[..., 0]
        | (wide[..., 1] << np.uint64(16))
        | (wide[..., 2] << np.uint64(32))
        | (wide[..., 3] << np.uint64(48))
    )


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, error_model="numpy")
def paint_over(image, lanes, map_x, map_y, depth):  # type: ignore[no-untyped-def]
    """Samples the person where `rasterise` found it, bilinearly, and lays it over `image`.

    Args:
        image: (H, W, 3) uint8 RGB, holds the background, mutated.
        lanes: (h, w) uint64 from `pack_lanes`, RGBA with colours multiplied by alpha.
        map_x: (H, W) float32 from `rasterise`.
        map_y: the same.
        depth: the same.
    """
    height, width = depth.shape
    columns = lanes.shape[1]
    flat = lanes.reshape(-1)
    last_x, last_y = np.float32(columns - 1) - np.float32(1e-3), np.float32(lanes.shape[0] - 1) - np.float32(1e-3)
    zero, scale = np.float32(0), np.float32(256)
    full, half, byte = np.uint64(255 * 256), np.uint64(128), np.uint64(255)
    for y in range(height):
        for x in range(width):
            if depth[y, x] >= FAR:
                continue
            # Weights in 1/256: four channels, weighed and summed, fit their 16 bits.
            u = int(min(max(map_x[y, x], zero), last_x) * scale + np.float32(0.5))
            v = int(min(max(map_y[y, x], zero), last_y) * scale + np.float32(0.5))
            fx, fy = u & 255, v & 255
            at = (v >> 8) * columns + (u >> 8)
            w11 = (fx * fy + 128) >> 8
            total = (
                flat[at] * np.uint64(256 - fx - fy + w11)
                + flat[at + 1] * np.uint64(fx - w11)
                + flat[at + columns] * np.uint64(fy - w11)
                + flat[at + columns + 1] * np.uint64(w11)
            )
            alpha = total >> np.uint64(48)
            if alpha == np.uint64(0):
                continue
            behind = full - alpha
            for k in range(3):
                colour = (total >> np.uint64(16 * k)) & np.uint64(0xFFFF)
                if behind > np.uint64(0):
                    colour += np.uint64(image[y, x, k]) * behind // byte
                image[y, x, k] = np.uint8(min((colour + half) >> np.uint64(8), byte))


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, error_model="numpy")
def soften_outlines(image, map_x, map_y, depth, jump):  # type: ignore[no-untyped-def]
    """Smooths the stairs along the outline of a part that hides another.

    Args:
        image: (H, W, 3) uint8 RGB, mutated.
        map_x: (H, W) float32 from `rasterise`.
        map_y: the same.
        depth: the same.
        jump: how far apart in the source two neighbours are that belong to different parts. Unit: pixels.
    """
    height, width = depth.shape
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            u, v = map_x[y, x], map_y[y, x]
            across = abs(map_x[y, x + 1] - u) + abs(map_y[y, x + 1] - v)
            down = abs(map_x[y + 1, x] - u) + abs(map_y[y + 1, x] - v)
            if max(across, down) < jump:
                continue
            if depth[y, x] >= FAR or depth[y, x + 1] >= FAR or depth[y + 1, x] >= FAR:
                continue
            for k in range(3):
                around = np.int32(image[y, x - 1, k]) + image[y, x + 1, k] + image[y - 1, x, k] + image[y + 1, x, k]
                image[y, x, k] = (np.int32(image[y, x, k]) * 4 + around + 4) >> 3
