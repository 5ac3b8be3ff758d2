"""Training clips at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.clip import Clip

Pixels = NDArray[np.uint8]


def clip_sheet(clips: Iterable[Clip], path: Path, moments: Sequence[float] = (0.2, 0.6, 0.95)) -> None:
    """Writes one row per clip: portrait, then at each moment truth, warp, and gate, inner mouth, eyes as RGB.

    Args:
        clips: a few.
        path: of a PNG.
        moments: where in the clip, in [0, 1].
    """
    rows = [_row(clip, moments) for clip in clips]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)


def _row(clip: Clip, moments: Sequence[float]) -> Pixels:
    cells = [clip.reference[:3].transpose(1, 2, 0)]
    for moment in moments:
        k = round(moment * (len(clip) - 1))
        cells += [clip.truth[k], clip.warp[k], np.stack([clip.gate[k], clip.maps[k, 2], clip.maps[k, 4]], -1)]
    return np.concatenate(cells, 1)
