"""Triangles to pixels for many sessions at once: `avatar_sdk.warp.raster` with static shapes.

Every triangle is cut into tiles; a fixed number of tiles per session is worked on, whether needed or not, and at every
pixel the nearest triangle wins by an atomic minimum over (depth, triangle). Ties go to the first triangle, as on the
CPU, so the order of execution does not matter.

B sessions, V vertices, T triangles, K tiles, P pixels of an image.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

TILE: Final = 8
"""Side of a tile. Unit: pixels."""
NOBODY: Final = 2**63 - 1
OUTSIDE: Final = -1e30
NEAREST: Final = 8192.0
"""Depths are taken from here: what is nearer to the camera counts as just as near. Unit: pixels."""
LEAST_AREA: Final = 1e-4
SLACK: Final = 1e-4
"""How far outside a triangle a pixel may lie. Unit: barycentric."""
FURTHEST: Final = 1e6
"""Coordinates are kept within this, so that every index stays in range."""


class Winners(NamedTuple):
    """Who is seen where.

    Attributes:
        triangle: (B, P) int64, T where nothing is.
        needed: (B,) int64, how many tiles were asked for; those above the capacity were left out.
    """

    triangle: Tensor
    needed: Tensor


def capacity(height: int, width: int, triangles: int) -> int:
    """Tiles a session gets: the image a few times over, since bounding boxes overlap, and some for each triangle."""
    return 4 * -(-height // TILE) * -(-width // TILE) + 2 * triangles


def rasterise(points_BV3: Tensor, triangles_BT3: Tensor, height: int, width: int, tiles: int) -> Winners:
    """The nearest triangle at every pixel.

    Args:
        points_BV3: x, y in pixels, z smaller = nearer.
        triangles_BT3: int64, indices of vertices; three equal ones cover nothing.
        height: of the image.
        width: of the image.
        tiles: how many tiles a session may use.
    """
    batch, count = triangles_BT3.shape[:2]
    device = points_BV3.device
    p_BT33 = _corners(points_BV3, triangles_BT3)
    x, y, z = p_BT33.unbind(-1)
    plane_BT9, sound = _planes(x, y, z)
    low_x, high_x = x.amin(-1).ceil().clamp(0, width), x.amax(-1).floor().clamp(-1, width - 1)
    low_y, high_y = y.amin(-1).ceil().clamp(0, height), y.amax(-1).floor().clamp(-1, height - 1)
    sound = sound & (low_x <= high_x) & (low_y <= high_y)
    first_x, first_y = (low_x / TILE).long(), (low_y / TILE).long()
    across = (high_x / TILE).long() - first_x + 1
    wanted = torch.where(sound, across * ((high_y / TILE).long() - first_y + 1), 0)
    until = wanted.cumsum(1)
    turn = torch.arange(tiles, device=device).expand(batch, -1)
    owner = torch.searchsorted(until, turn.contiguous(), right=True)
    busy = owner < count
    owner = owner.clamp(max=count - 1)
    place = turn - (until - wanted).gather(1, owner)
    columns = across.gather(1, owner).clamp(min=1)
    tile_x = first_x.gather(1, owner) + place % columns
    tile_y = first_y.gather(1, owner) + place // columns
    bx, by, cx, cy, z, zb, zc, x0, y0 = plane_BT9.gather(1, owner[..., None].expand(-1, -1, 9)).unsqueeze(-1).unbind(2)
    along = torch.arange(TILE, device=device)
    px, py = tile_x[..., None] * TILE + along, tile_y[..., None] * TILE + along
    # All that is linear in x and y is the sum of a row and a column, so a tile's pixels cost one addition each.
    # Relative to the triangle's first corner: absolute coordinates would cancel badly in thin triangles.
    dx, dy = px - x0, py - y0
    wb_x, wc_x, wb_y, wc_y = bx * dx, cx * dx, by * dy, cy * dy
    wa_x = torch.where(px < width, -wb_x - wc_x, OUTSIDE)
    wa_y = torch.where((py < height) & busy[..., None], 1 - wb_y - wc_y, OUTSIDE)
    within = torch.minimum(torch.minimum(_spread(wb_y, wb_x), _spread(wc_y, wc_x)), _spread(wa_y, wa_x))
    depth = _spread(z + NEAREST + zb * wb_y + zc * wc_y, zb * wb_x + zc * wc_x).clamp(min=0)
    # The bits of floats that are not negative are ordered as the floats are.
    key = torch.add(owner[..., None, None], depth.view(torch.int32), alpha=1 << 32)
    key = torch.where(within >= -SLACK, key, NOBODY)
    # A tile that misses still writes somewhere, but nothing, and not all to the same place.
    pixel = _spread(py.clamp(max=height - 1) * width, px.clamp(max=width - 1))
    nearest = torch.full((batch, height * width), NOBODY, device=device)
    nearest.scatter_reduce_(1, pixel.flatten(1), key.flatten(1), "amin")
    return Winners(torch.where(nearest == NOBODY, count, nearest & 0xFFFFFFFF), until[:, -1])


def interpolated(
    points_BV3: Tensor, triangles_BT3: Tensor, values_BTC3: Tensor, winners: Winners, height: int, width: int
) -> Tensor:
    """(B, P, C): values at the corners of the seen triangles (B, T, C, 3) in between; anything where there are none."""
    x, y, z = _corners(points_BV3, triangles_BT3).unbind(-1)
    plane, _ = _planes(x, y, z)
    base = values_BTC3[..., 0]
    first, second = values_BTC3[..., 1] - base, values_BTC3[..., 2] - base
    across = first * plane[..., 0:1] + second * plane[..., 2:3]
    down = first * plane[..., 1:2] + second * plane[..., 3:4]
    table = torch.cat([plane[..., 7:9], base, across, down], -1)
    table = torch.cat([table, torch.zeros_like(table[:, :1])], 1)
    count, size = table.shape[1:]
    start = torch.arange(len(table), device=table.device)[:, None] * count
    at = table.reshape(-1, size)[winners.triangle + start]
    pixel = torch.arange(height * width, device=table.device)
    dx, dy = pixel % width - at[..., 0], pixel // width - at[..., 1]
    base, across, down = at[..., 2:].unflatten(-1, (3, -1)).unbind(-2)
    return base + across * dx[..., None] + down * dy[..., None]


def _spread(rows_BKR: Tensor, columns_BKC: Tensor) -> Tensor:
    """(B, K, R, C): the sum of a number per row and one per column."""
    return rows_BKR[..., :, None] + columns_BKC[..., None, :]


def _corners(points_BV3: Tensor, triangles_BT3: Tensor) -> Tensor:
    """(B, T, 3, 3): the points of every triangle."""
    batch = len(points_BV3)
    index = triangles_BT3.reshape(batch, -1, 1).expand(-1, -1, 3)
    return points_BV3.clamp(-FURTHEST, FURTHEST).gather(1, index).unflatten(1, (-1, 3))


def _planes(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 9): slopes of the second and third barycentric, depth, and the first corner; and which have an area."""
    (x0, x1, x2), (y0, y1, y2), (z0, z1, z2) = x.unbind(-1), y.unbind(-1), z.unbind(-1)
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    sound = area.abs() >= LEAST_AREA
    inverse = 1 / torch.where(sound, area, 1.0)
    slopes = ((y2 - y0) * inverse, (x0 - x2) * inverse, (y0 - y1) * inverse, (x1 - x0) * inverse)
    return torch.stack([*slopes, z0, z1 - z0, z2 - z0, x0, y0], -1), sound
