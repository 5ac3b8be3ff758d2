"""A contact sheet: a video at a glance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.errors import InvalidVideoError
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

CELLS: Final = 12
CELL_HEIGHT_PX: Final = 256


class ContactSheet:
    """Evenly spaced frames of a video whose length is not known beforehand.

    Every n-th frame is kept; whenever twice as many as fit have come together, n doubles and every other one goes.
    """

    def __init__(self) -> None:
        self._cells: list[Pixels] = []
        self._stride = 1
        self._seen = 0

    def add(self, image: Pixels) -> None:
        """Offers the next frame, (H, W, 3) uint8 RGB in [0, 255], all of one size."""
        if self._seen % self._stride == 0:
            self._cells.append(_reduced(image))
            if len(self._cells) == 2 * CELLS:
                self._cells = self._cells[::2]
                self._stride *= 2
        self._seen += 1

    def image(self) -> Pixels:
        """The sheet, (rows * 256, columns * cell width, 3) uint8 RGB. At least one frame must have been added."""
        assert self._cells, "a contact sheet needs a frame"
        count = min(CELLS, len(self._cells))
        chosen = [self._cells[round(i)] for i in np.linspace(0, len(self._cells) - 1, count)]
        columns = min(count, 6 if chosen[0].shape[1] <= 1.5 * CELL_HEIGHT_PX else 3)
        chosen += [np.zeros_like(chosen[0])] * (-count % columns)
        rows = [np.hstack(chosen[i : i + columns]) for i in range(0, len(chosen), columns)]
        return np.vstack(rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the sheet; the suffix names the format.

        Raises:
            InvalidVideoError: the file cannot be written, or its suffix is no image format.
        """
        try:
            Image.fromarray(self.image()).save(Path(path))
        except (OSError, ValueError) as error:
            raise InvalidVideoError(f"the contact sheet {path} cannot be written: {error}") from error


def _reduced(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    cell = Image.fromarray(image).resize((round(width * CELL_HEIGHT_PX / height), CELL_HEIGHT_PX), Image.Resampling.BOX)
    return np.asarray(cell, np.uint8)
