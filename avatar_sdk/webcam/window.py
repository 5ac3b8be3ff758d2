"""The window: the avatar, the driver in a corner, live figures, and keys."""

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import Final

import cv2
import numpy as np
from avatar_client.capture import mirrored
from avatar_client.errors import MissingDependencyError
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

TITLE: Final = "avatar"
INSET_SHARE: Final = 0.22
"""Width of the driver's picture. Unit: the window's width."""


class Key(Enum):
    """What a key asks for."""

    CALIBRATE = "c"
    MIRROR = "m"
    NEXT_PORTRAIT = "n"
    PAUSE = "p"
    RECORD = "r"
    QUIT = "q"


HELP: Final = "  ".join(f"{key.value} {key.name.lower().replace('_', ' ')}" for key in Key)
_ESCAPE: Final = 27
_KEYS: Final = {ord(key.value): key for key in Key} | {_ESCAPE: Key.QUIT}


class Window:
    """An OpenCV window; everything about it happens on the thread that made it."""

    def __init__(self) -> None:
        """Opens it.

        Raises:
            MissingDependencyError: there is no display, or this OpenCV has no windows.
        """
        way_out = "use --no-window, and --record FILE to see the avatar afterwards"
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise MissingDependencyError(f"there is no display for a window here; {way_out}")  # Qt would abort
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise MissingDependencyError(f"this OpenCV cannot open windows; {way_out}") from error

    def show(self, image: Pixels, lines: list[str], driver: Pixels | None) -> None:
        """Shows a frame, (H, W, 3) uint8 RGB, with figures and the driver's picture over it."""
        cv2.imshow(TITLE, cv2.cvtColor(overlay(image, lines, driver), cv2.COLOR_RGB2BGR))

    def key(self) -> Key | None:
        """What was pressed since the last call; closing the window counts as quitting."""
        pressed = cv2.waitKey(1) & 0xFF
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return Key.QUIT
        return _KEYS.get(pressed)

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyWindow(TITLE)


def overlay(image: Pixels, lines: list[str], driver: Pixels | None) -> Pixels:
    """A copy of the frame with lines of text at the top left and the driver's picture at the bottom right."""
    view = image.copy()
    height, width = view.shape[:2]
    if driver is not None:
        inset_width = round(width * INSET_SHARE)
        inset_height = round(inset_width * driver.shape[0] / driver.shape[1])
        inset = cv2.resize(driver, (inset_width, inset_height), interpolation=cv2.INTER_AREA)
        view[height - inset_height - 8 : height - 8, width - inset_width - 8 : width - 8] = inset
    for i, line in enumerate(lines):
        place = (10, 22 + 18 * i)
        cv2.putText(view, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(view, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return view


def shown(image: Pixels, mirror: bool) -> Pixels:
    """The picture, as in a mirror if asked for."""
    return mirrored(image) if mirror else image
