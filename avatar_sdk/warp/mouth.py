"""The inside of an open mouth, painted where the portrait has nothing to show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait


class Mouth:
    def __init__(self, portrait: Portrait) -> None:
        pass

    def paint(self, image: NDArray[np.uint8], motion: Motion) -> None:
        pass
