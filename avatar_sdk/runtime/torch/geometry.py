"""Where every part of many photos goes: `avatar_sdk.warp.mesh` and `iris`, batched.

B sessions, V vertices, R ring vertices, S spokes. Every shape is static and nothing is read back to the host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from avatar_sdk.topology import MESH_LANDMARKS, OVAL
from avatar_sdk.warp.iris import LIDS, RIM, SLACK
from avatar_sdk.warp.mesh import EYES

Rows = Mapping[str, Tensor]
"""The arrays of `WarpTables` by name, one row per session of a tick."""


class MotionRows(NamedTuple):
    """The motions of a tick; see `avatar_sdk.motion.Motion`.

    Attributes:
        landmarks: (B, 478, 3) output pixels.
        scale: (B,); rotation: (B, 3, 3); translation: (B, 3).
        shoulders: (B, 2, 2); tracked: (B,), 1 where the shoulders are known.
    """

    landmarks: Tensor
    scale: Tensor
    rotation: Tensor
    translation: Tensor
    shoulders: Tensor
    tracked: Tensor


def interpolate(x_BN: Tensor, xs_BM: Tensor, ys_BM: Tensor) -> Tensor:
    """(B, N): `numpy.interp` per row; beyond the ends the end values go on."""
    last = xs_BM.shape[-1] - 1
    at = torch.searchsorted(xs_BM.contiguous(), x_BN.contiguous(), right=True).clamp(1, last)
    x0, x1 = xs_BM.gather(1, at - 1), xs_BM.gather(1, at)
    y0, y1 = ys_BM.gather(1, at - 1), ys_BM.gather(1, at)
    apart = x1 - x0
    part = ((x_BN - x0) / torch.where(apart == 0, 1.0, apart)).clamp(0, 1)
    # Of two samples at the same place the later one counts, as in NumPy.
    part = torch.where(apart == 0, (x_BN >= x1).to(part.dtype), part)
    return y0 + part * (y1 - y0)


def smoothstep(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, smooth between."""
    t = x.clamp(0, 1)
    return t * t * (3 - 2 * t)


class MeshMotion:
    """Moves the meshes of all sessions of a tick."""

    def __init__(self, device: str) -> None:
        self._oval = torch.tensor(OVAL, device=device)
        self._eyes = [(torch.tensor(lids, device=device), torch.tensor(iris, device=device)) for lids, iris in EYES]
        angle = 2 * math.pi * torch.arange(RIM, dtype=torch.float64) / RIM
        rim = torch.stack([-angle.cos(), -angle.sin()], 1)
        self._rim_92 = torch.cat([rim, torch.zeros(1, 2)]).float().to(device)

    def move(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B, V, 3): the vertices as `Mesh.move` orders them."""
        rings_BR3, oval_BS3 = rows["rings"], rows["landmarks"][:, self._oval]
        turn_B33 = motion.scale[:, None, None] * motion.rotation.transpose(1, 2)
        shift_B13 = motion.translation[:, None]
        rigid = rings_BR3 @ turn_B33 + shift_B13
        residual = motion.landmarks[:, self._oval] - (oval_BS3 @ turn_B33 + shift_B13)
        body = torch.cat([rings_BR3[..., :2] + self._body(motion, rows), rings_BR3[..., 2:]], -1)
        moved = body + rows["follow"][..., None] * (rigid - body) + rows["spread"] @ residual
        moved = torch.cat([moved[..., :2], rigid[..., 2:]], -1)
        irises = [self.iris(motion.landmarks, *eye) for eye in self._eyes]
        return torch.cat([motion.landmarks[:, :MESH_LANDMARKS], *irises, moved], 1)

    def _body(self, motion: MotionRows, rows: Rows) -> Tensor:
        """(B, R, 2): how far the body moves at the ring vertices."""
        points = rows["rings"][..., :2]
        first, second = rows["shoulders_x"][:, :1, None], rows["shoulders_x"][:, 1:, None]
        across = ((points[..., :1] - first) / (second - first)).clamp(-0.3, 1.3)
        led = motion.shoulders[:, :1] * (1 - across) + motion.shoulders[:, 1:] * across
        home = rows["neck"]
        scale = motion.scale[:, None]
        neck = scale * (motion.rotation @ home[..., None])[..., 0] + motion.translation
        travel = (neck - home)[:, :2] * rows["body"][:, :1]
        growth = rows["body"][:, 1:] * (scale - 1)
        pulled = travel[:, None] + growth[..., None] * (points - home[:, None, :2])
        return torch.where(motion.tracked[:, None, None] > 0, led, pulled)

    def iris(self, landmarks_BV3: Tensor, lids: Tensor, iris: Tensor) -> Tensor:
        """(B, 9, 3): see `avatar_sdk.warp.iris.iris_vertices`."""
        half = LIDS // 2
        contour = landmarks_BV3[:, lids]
        corner, across = contour[:, 0, :2], contour[:, half, :2] - contour[:, 0, :2]
        width = across.norm(dim=1, keepdim=True).clamp(min=1e-6)
        across = across / width
        down = torch.stack([-across[:, 1], across[:, 0]], 1)
        gap = ((contour[:, half + 1 :].flip(1) - contour[:, 1:half])[..., :2] * down[:, None]).sum((1, 2))
        down = torch.where(gap[:, None] < 0, -down, down)
        axes_B22 = torch.stack([across, down], 1)
        closed = torch.cat([contour, contour[:, :1]], 1)
        along, below = ((closed[..., :2] - corner[:, None]) @ axes_B22.transpose(1, 2)).unbind(-1)
        depth = closed[..., 2].mean(1)
        centre = landmarks_BV3[:, iris[0], :2]
        radius = (landmarks_BV3[:, iris[1:], :2] - centre[:, None]).norm(dim=-1).mean(1)[:, None]
        middle = ((centre - corner)[:, None] @ axes_B22.transpose(1, 2))[:, 0]
        u, v = (middle[:, None] + radius[..., None] * self._rim_92).unbind(-1)
        upper = interpolate(u, along[:, : half + 1], below[:, : half + 1])
        lower = interpolate(u, along[:, half:].flip(1), below[:, half:].flip(1))
        slack = torch.minimum(SLACK * radius, 0.5 * (lower - upper).clamp(min=0))
        v = torch.minimum(torch.maximum(v, upper + slack), torch.maximum(lower - slack, upper + slack))
        u = torch.minimum(torch.maximum(u, 0.02 * width), 0.98 * width)
        placed = corner[:, None] + torch.stack([u, v], -1) @ axes_B22
        return torch.cat([placed, depth[:, None, None].expand(-1, len(self._rim_92), 1)], -1)
