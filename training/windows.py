"""Cuts training pictures down to where it matters: mouth and eyes.

B clips, F frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor

from avatar_sdk.warp.frame import POSE_MAPS
from training.data.batches import Batch
from training.draws import per_row

PLACES: Final = (("inner_mouth", "lips"), ("eyes",), None)
"""What a window is put around; None = anywhere."""
CHANCES: Final = (0.5, 0.3, 0.2)
ALIGN_PX: Final = 32
"""Windows lie on the grid of the latent."""


@dataclass(frozen=True, eq=False)
class Window:
    """The same cut through everything.

    Attributes:
        truth: (B, F, 3, h, w) in [-1, 1].
        guide: (B, F, 11, h, w) in [-1, 1].
        gate: (B, F, 1, h, w) in [0, 1].
        corners: top and left of each clip's window.
    """

    truth: Tensor
    guide: Tensor
    gate: Tensor
    corners: tuple[tuple[int, int], ...]

    def of_latent(self, latent_BFCHW: Tensor, pixels: int) -> Tensor:
        """The same cut through a latent of which one number stands for `pixels` × `pixels`."""
        side = self.truth.shape[-1] // pixels
        rows = zip(latent_BFCHW, self.corners, strict=True)
        return torch.stack([x[..., y // pixels :, x0 // pixels :][..., :side, :side] for x, (y, x0) in rows])

    def pasted(self, picture: Tensor, whole: Tensor) -> Tensor:
        """`whole` (B, F, 3, H, W) with `picture` (B, F, 3, h, w) in the window's place."""
        side, out = picture.shape[-1], whole.clone()
        for row, (y, x) in enumerate(self.corners):
            out[row, ..., y : y + side, x : x + side] = picture[row]
        return out


def face_windows(batch: Batch, side_px: int, rng: torch.Generator) -> Window:
    """One window per clip, the same in all its frames, usually around the mouth or an eye."""
    whole = batch.guide_BFCHW.shape[-1]
    side_px = min(side_px, whole)
    chance = per_row(len(batch.guide_BFCHW), rng, lambda n: torch.rand(n, 6, generator=rng, device=rng.device)).cpu()
    cuts, corners = [], []
    for row in range(len(batch.guide_BFCHW)):
        y, x = _corner(batch.guide_BFCHW[row], side_px, chance[row]) if side_px < whole else (0, 0)
        corners.append((y, x))
        at = (slice(row, row + 1), slice(None), Ellipsis, slice(y, y + side_px), slice(x, x + side_px))
        cuts.append(Batch(batch.truth_BFCHW[at], batch.guide_BFCHW[at], batch.gate_BFHW[at], batch.reference_BCHW[:0]))
    truth, guide, gate = (torch.cat([getattr(cut, name)() for cut in cuts]) for name in ("truth", "guide", "gate"))
    return Window(truth, guide, gate, tuple(corners))


def _corner(guide_FCHW: Tensor, side_px: int, chance: Tensor) -> tuple[int, int]:
    """Top and left of a window, on the grid; `chance` are six numbers of U(0, 1)."""
    whole = guide_FCHW.shape[-1]
    kind, pick = float(chance[0]), float(chance[1])
    names = next((place for place, up_to in zip(PLACES, accumulate(CHANCES), strict=True) if kind < up_to), None)
    centre = chance[2:4] * whole
    if names is not None:
        mask = guide_FCHW[:, [3 + POSE_MAPS.index(name) for name in names]].amax((0, 1)) > 127
        if mask.any():
            places = mask.nonzero().float()
            centre = (places[int(pick * len(places))] if names == ("eyes",) else places.mean(0)).cpu()
    jitter = (chance[4:6] - 0.5) * ALIGN_PX
    corner = ((centre + jitter - side_px / 2) / ALIGN_PX).round() * ALIGN_PX
    y, x = corner.clamp(0, whole - side_px).long().tolist()
    return y, x
