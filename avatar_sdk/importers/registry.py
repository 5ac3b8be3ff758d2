"""All layouts we know."""

from __future__ import annotations

from typing import Final

from avatar_client.errors import InvalidConfigError

from avatar_sdk.importers.layout import Layout, Shapes
from avatar_sdk.importers.taehv import TAEW2_1, TAEW2_2
from avatar_sdk.importers.wan import WAN_LAYOUTS
from avatar_sdk.importers.wan_vae import WAN_VAE

LAYOUTS: Final[tuple[Layout, ...]] = (*WAN_LAYOUTS, WAN_VAE, TAEW2_1, TAEW2_2)
"""The first that matches is taken."""


def detect(shapes: Shapes) -> Layout:
    """The layout of a checkpoint with these weights.

    Raises:
        InvalidConfigError: it has none that we know.
    """
    for layout in LAYOUTS:
        if layout.matches(shapes):
            return layout
    names = ", ".join(sorted(shapes)[:3])
    raise InvalidConfigError(
        f"these {len(shapes)} weights ({names} …) are none of {', '.join(layout.name for layout in LAYOUTS)}; "
        "image-to-video and quantised variants cannot be imported",
        field="model",
    )
