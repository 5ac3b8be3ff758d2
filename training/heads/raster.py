"""Draws triangles: first which triangle each pixel shows, then, once per pixel, how it is lit.

n vertices, m triangles, H rows, W columns. World space is centimetres, x right, y up, z towards the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FAR: Final = np.float32(1e9)
SHADOW_PX: Final = 144


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        texture: (h, w, 4) uint8 sRGB and alpha; more than half-transparent texels are holes.
        gloss: strength of the highlight.
        sharpness: the highlight is the cosine to the power of 2 ** sharpness.
        bump: how strongly brightness of the texture tilts the surface.
        ambient: how much of the surroundings' light arrives.
        wrap: light that wraps around the terminator, for red, green, blue; skin lets red through most.
        one_sided: whether the back is not drawn.
        shadows: whether other surfaces cast shadows on it.
    """

    texture: NDArray[np.uint8]
    gloss: float = 0.1
    sharpness: int = 4
    bump: float = 0.0
    ambient: float = 1.0
    wrap: tuple[float, float, float] = (0.1, 0.1, 0.1)
    one_sided: bool = False
    shadows: bool = True


@dataclass(frozen=True, eq=False)
class Materials:
    """Materials packed for the rasteriser. `index` of a material is its place in the list."""

    texels: NDArray[np.uint8]
    places: NDArray[np.int64]
    values: Floats

    @classmethod
    def pack(cls, materials: list[Material]) -> Materials:
        """Puts all textures into one array."""
        places, values, offset = [], [], 0
        for m in materials:
            height, width = m.texture.shape[:2]
            places.append((offset, height, width))
            offset += height * width
            values.append((m.gloss, m.sharpness, m.bump, m.ambient, *m.wrap, m.one_sided, m.shadows))
        texels = np.concatenate([m.texture.reshape(-1, 4) for m in materials])
        return cls(texels, np.array(places, np.int64), np.array(values, np.float32))


@dataclass(frozen=True, eq=False)
class Surface:
    """Everything to be drawn.

    Attributes:
        points: (n, 3) float32 world space.
        triangles: (m, 3) int32; seen from the front they run counter-clockwise.
        uv: (n, 2) float32 in [0, 1], (0, 0) the texture's top left.
        material: (m,) int32.
        materials: what `material` counts.
    """

    points: Floats
    triangles: NDArray[np.int32]
    uv: Floats
    material: NDArray[np.int32]
    materials: Materials


@dataclass(frozen=True, eq=False)
class Lights:
    """Light of a scene, linear.

    Attributes:
        directions: (L, 3) towards each light, unit; the first casts shadows.
        colours: (L, 3) RGB.
        ambient: (3, 3) RGB of the surroundings: mean, change upwards, change to the right.
        shadow: how dark the shadow is, in [0, 1].
    """

    directions: Floats
    colours: Floats
    ambient: Floats
    shadow: float


def _to_linear() -> Floats:
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _to_srgb() -> NDArray[np.uint8]:
    level = np.arange(4096) / 4095
    curve = np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)


_LINEAR: Final = _to_linear()
_SRGB: Final = _to_srgb()


def draw(
    surface: Surface, screen: Floats, lights: Lights, image: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], Floats]:
    """Draws over `image` (H, W, 3) uint8 RGB, in place.

    Args:
        surface: what to draw.
        screen: (n, 3) float32: pixel column, pixel row, distance to the camera.
        lights: how it is lit.
        image: the backdrop.

    Returns:
        covered (H, W): where something was drawn; and depth (H, W), the distance there.
    """
    height, width = image.shape[:2]
    depth = np.full((height, width), FAR, np.float32)
    ids = np.full((height, width), -1, np.int32)
    weights = np.empty((height, width, 2), np.float32)
    parts = (surface.triangles, surface.uv, surface.material, surface.materials)
    _cover(screen, *parts[:3], parts[3].texels, parts[3].places, parts[3].values, depth, ids, weights)
    to_light, shade = _shadows(surface, lights)
    normals = _normals(surface.points, surface.triangles)
    _shade(
        surface.points, normals, *parts[:3], parts[3].texels, parts[3].places, parts[3].values,
        lights.directions, lights.colours, lights.ambient, np.float32(lights.shadow), to_light, shade,
        ids, weights, _LINEAR, _SRGB, image,
    )  # fmt: skip
    return ids >= 0, depth


def _shadows(surface: Surface, lights: Lights) -> tuple[Floats, Floats]:
    """The (3, 4) map from world space to the shadow map, and the shadow map: distances seen from the first light."""
    forward = lights.directions[0].astype(np.float64)
    side = np.cross((0.0, 1.0, 0.05), forward)
    side /= np.linalg.norm(side)
    up = np.cross(forward, side)
    axes = np.stack([side, -up, -forward])
    seen = surface.points @ axes.T
    head = seen[: min(len(seen), 468)]
    centre, reach = (head.max(0) + head.min(0)) / 2, 26.0
    scale = SHADOW_PX / (2 * reach)
    offset = np.array([SHADOW_PX / 2 - scale * centre[0], SHADOW_PX / 2 - scale * centre[1], 0])
    to_light = np.concatenate([axes * [[scale], [scale], [1]], offset[:, None]], 1).astype(np.float32)
    screen = (surface.points @ to_light[:, :3].T + to_light[:, 3]).astype(np.float32)
    depth = np.full((SHADOW_PX, SHADOW_PX), FAR, np.float32)
    ids = np.empty((SHADOW_PX, SHADOW_PX), np.int32)
    weights = np.empty((SHADOW_PX, SHADOW_PX, 2), np.float32)
    packed = surface.materials
    values = packed.values.copy()
    values[:, 7] = 0
    parts = (surface.triangles, surface.uv, surface.material, packed.texels, packed.places, values)
    _cover(screen, *parts, depth, ids, weights)
    return to_light, depth


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _normals(points: Any, triangles: Any) -> Any:
    """(n, 3): sum of the normals around each vertex, not normalised."""
    normals = np.zeros_like(points)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    return normals


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy", inline="always")
def _texel(texels: Any, place: Any, u: Any, v: Any, channel: Any) -> Any:
    """Nearest texel; textures are finer than the screen."""
    height, width = place[1], place[2]
    x = min(max(int(u * width), 0), width - 1)
    y = min(max(int(v * height), 0), height - 1)
    return texels[place[0] + y * width + x, channel]


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _cover(
    screen: Any, triangles: Any, uv: Any, material: Any, texels: Any, places: Any, values: Any,
    depth: Any, ids: Any, weights: Any,
) -> None:  # fmt: skip
    """Finds the nearest opaque triangle of every pixel and where in it the pixel lies."""
    height, width = depth.shape
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        x0, y0, x1, y1, x2, y2 = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < np.float32(1e-6):
            continue
        m = material[t]
        if values[m, 7] > 0 and area > 0:
            continue
        left, right = max(0, math.ceil(min(x0, x1, x2))), min(width - 1, math.floor(max(x0, x1, x2)))
        top, bottom = max(0, math.ceil(min(y0, y1, y2))), min(height - 1, math.floor(max(y0, y1, y2)))
        if left > right or top > bottom:
            continue
        inverse = np.float32(1) / area
        z0, z1, z2 = screen[a, 2], screen[b, 2], screen[c, 2]
        place = places[m]
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * inverse
                w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * inverse
                w2 = np.float32(1) - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z >= depth[y, x]:
                    continue
                u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
                v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
                if _texel(texels, place, u, v, 3) < 128:
                    continue
                depth[y, x] = z
                ids[y, x] = t
                weights[y, x, 0] = w0
                weights[y, x, 1] = w1


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _shade(
    points: Any, normals: Any, triangles: Any, uv: Any, material: Any, texels: Any, places: Any, values: Any,
    directions: Any, colours: Any, ambient: Any, darkness: Any, to_light: Any, shade: Any,
    ids: Any, weights: Any, linear: Any, srgb: Any, image: Any,
) -> None:  # fmt: skip
    """Lights every covered pixel: ambient gradient, wrapped diffuse, Blinn-Phong highlight, one shadow map."""
    height, width = ids.shape
    one = np.float32(1)
    albedo, light, glow = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    for y in range(height):
        for x in range(width):
            t = ids[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t]
            m = material[t]
            w0, w1 = weights[y, x, 0], weights[y, x, 1]
            w2 = one - w0 - w1
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            length = one / math.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
            if nz < 0 and values[m, 7] == 0:
                length = -length
            nx, ny, nz = nx * length, ny * length, nz * length
            u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
            v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
            place = places[m]
            tall, wide = place[1], place[2]
            fx = min(max(u * wide - np.float32(0.5), np.float32(0)), np.float32(wide - 1.001))
            fy = min(max(v * tall - np.float32(0.5), np.float32(0)), np.float32(tall - 1.001))
            ix, iy = int(fx), int(fy)
            fx, fy = fx - ix, fy - iy
            at = place[0] + iy * wide + ix
            below = at + wide
            for k in range(3):
                upper = linear[texels[at, k]] * (one - fx) + linear[texels[at + 1, k]] * fx
                lower = linear[texels[below, k]] * (one - fx) + linear[texels[below + 1, k]] * fx
                albedo[k] = upper * (one - fy) + lower * fy
            bump = values[m, 2]
            if bump > 0:
                here = np.float32(texels[at, 1])
                nx -= bump * (np.float32(texels[at + 1, 1]) - here)
                ny += bump * (np.float32(texels[below, 1]) - here)
                length = one / math.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
                nx, ny, nz = nx * length, ny * length, nz * length
            open_to_key = one
            if values[m, 8] > 0:
                px = w0 * points[a, 0] + w1 * points[b, 0] + w2 * points[c, 0] + np.float32(0.3) * nx
                py = w0 * points[a, 1] + w1 * points[b, 1] + w2 * points[c, 1] + np.float32(0.3) * ny
                pz = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2] + np.float32(0.3) * nz
                sx = to_light[0, 0] * px + to_light[0, 1] * py + to_light[0, 2] * pz + to_light[0, 3]
                sy = to_light[1, 0] * px + to_light[1, 1] * py + to_light[1, 2] * pz + to_light[1, 3]
                sz = to_light[2, 0] * px + to_light[2, 1] * py + to_light[2, 2] * pz - np.float32(0.35)
                jx, jy = int(sx), int(sy)
                if jx >= 1 and jy >= 1 and jx < shade.shape[1] - 2 and jy < shade.shape[0] - 2:
                    hidden = np.float32(0)
                    gx, gy = sx - jx, sy - jy
                    for dy in range(2):
                        for dx in range(2):
                            if shade[jy + dy, jx + dx] < sz:
                                hidden += (gx if dx else one - gx) * (gy if dy else one - gy)
                    open_to_key = one - darkness * hidden
            for k in range(3):
                light[k] = max(ambient[0, k] + ambient[1, k] * ny + ambient[2, k] * nx, np.float32(0)) * values[m, 3]
                glow[k] = 0
            for q in range(len(directions)):
                d = nx * directions[q, 0] + ny * directions[q, 1] + nz * directions[q, 2]
                passes = open_to_key if q == 0 else one
                for k in range(3):
                    wrap = values[m, 4 + k]
                    lit = (d + wrap) / (one + wrap)
                    if lit > 0:
                        light[k] += passes * lit * colours[q, k] * values[m, 3]
                hx, hy, hz = directions[q, 0], directions[q, 1], directions[q, 2] + one
                half = (nx * hx + ny * hy + nz * hz) / math.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-9))
                if half > 0 and values[m, 0] > 0:
                    for _ in range(int(values[m, 1])):
                        half *= half
                    for k in range(3):
                        glow[k] += passes * values[m, 0] * half * colours[q, k]
            for k in range(3):
                level = min(max(albedo[k] * light[k] + glow[k], np.float32(0)), one)
                image[y, x, k] = srgb[int(level * np.float32(4095))]
