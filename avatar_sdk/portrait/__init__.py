"""A photo, made ready to be moved: everything that is computed once per portrait.

`photo` decodes what was uploaded, `reader` finds the face and the person, `framing` chooses the view, `layers` parts
the person from the background, `loading` does all of it.
"""

from avatar_sdk.portrait.config import FRAMINGS, Background, BackgroundKind, PortraitConfig
from avatar_sdk.portrait.loading import Portrait, load_portrait
from avatar_sdk.portrait.reader import PortraitReader

__all__ = [
    "FRAMINGS",
    "Background",
    "BackgroundKind",
    "Portrait",
    "PortraitConfig",
    "PortraitReader",
    "load_portrait",
]
