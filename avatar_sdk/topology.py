"""The face mesh: which of the 478 landmarks lie where, and how they join into triangles.

Source: MediaPipe FaceMesh with refined iris landmarks. Right and left are the subject's.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Final

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

LANDMARKS: Final = 478
MESH_LANDMARKS: Final = 468
"""Landmarks of the skin; the irises follow."""


def _indices(*values: int) -> Indices:
    table = np.array(values)
    table.flags.writeable = False
    return table


# fmt: off
OVAL: Final = _indices(
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
"""Outline of the face, from the top of the forehead towards the subject's left."""

LIPS_OUTER: Final = _indices(
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146
)
"""From the right corner along the upper lip to the left corner, back along the lower lip."""
LIPS_INNER: Final = _indices(
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95
)
"""In the order of `LIPS_OUTER`."""

EYE_RIGHT: Final = _indices(33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""From the outer corner along the upper lid to the inner corner, back along the lower lid."""
EYE_LEFT: Final = _indices(263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
IRIS_RIGHT: Final = _indices(468, 469, 470, 471, 472)
"""Centre, then four points on the rim."""
IRIS_LEFT: Final = _indices(473, 474, 475, 476, 477)

BROW_RIGHT: Final = _indices(70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
"""From the outer end along the upper edge, back along the lower edge."""
BROW_LEFT: Final = _indices(300, 293, 334, 296, 336, 285, 295, 282, 283, 276)

NOSE: Final = _indices(168, 6, 197, 195, 5, 4, 1, 2, 98, 327)
"""Bridge from the top to the tip, base, wings."""

RIGID: Final = _indices(
    168, 6, 197, 195, 122, 351, 193, 417, 10, 151, 9, 109, 338, 67, 297, 54, 284, 21, 251,
    162, 389, 127, 356, 234, 454, 33, 133, 362, 263,
)
"""Nose bridge, forehead, temples and eye corners: what moves with the skull and not with expression."""
# fmt: on

CHIN: Final = 152
FOREHEAD: Final = 10
TEMPLE_RIGHT: Final = 234
TEMPLE_LEFT: Final = 454


def _load_triangles() -> Indices:
    with as_file(files("avatar_sdk") / "assets" / "face_triangles.npy") as path:
        return _indices(*np.load(path).ravel()).reshape(-1, 3)


TRIANGLES: Final = _load_triangles()
"""(852, 3) triangles of the skin, all turning the same way; eyes and mouth are open. By `tools/make_topology.py`."""
