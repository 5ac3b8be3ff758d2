"""What the device knows of the portraits, one slot each: computed once per portrait on the CPU, then only read."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from avatar_client.errors import InvalidConfigError
from numpy.typing import NDArray
from torch import Tensor

from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.torch.geometry import Rows
from avatar_sdk.runtime.torch.patch import packed
from avatar_sdk.topology import LANDMARKS, MESH_LANDMARKS, TRIANGLES
from avatar_sdk.warp import CROP_PX, WarpTables
from avatar_sdk.warp.mesh import FIRST_RING, RINGS, SPOKES

VERTICES: Final = FIRST_RING + len(RINGS) * SPOKES
MOST_TRIANGLES: Final = 1800
"""A mesh has 1798; those that hold nothing of the person are left out, and the rest of the slot covers nothing."""
SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "source": (VERTICES + MESH_LANDMARKS, 2),
    "landmarks": (LANDMARKS, 3),
    "rings": (len(RINGS) * SPOKES, 3),
    "follow": (len(RINGS) * SPOKES,),
    "spread": (len(RINGS) * SPOKES, SPOKES),
    "shoulders_x": (2,),
    "neck": (3,),
    "body": (2,),
    "face_width": (1,),
    "axes": (3, 3),
    "face_px": (1,),
    "face_centre": (3,),
    "lip_opening": (1,),
    "areas": (len(TRIANGLES),),
    "seen": (MESH_LANDMARKS,),
    "feather": (CROP_PX, CROP_PX),
    "mouth_unit": (1,),
    "mouth_depth": (1,),
    "to_mouth": (2, 3),
    "mouth_colours": (3, 3),
    "mouth_shape": (3,),
    "painted": (2,),
    "eye_opening": (2,),
    "eye_gaze": (2, 2),
    "eye_colours": (2, 2, 3),
}
"""Arrays of `WarpTables` that are kept as float32, with the shape of one row."""


class Photos:
    """Portraits in slots; the last slot is nobody's, and rows that fill up a bucket use it.

    Attributes:
        person: (slots, 4, h, w) uint8 RGBA, colours multiplied by alpha.
        background: (slots, 3, H, W) uint8 RGB.
        image: (slots, H·W) int32, the portrait with its own teeth as fourth channel, packed as `patch.packed`.
        triangles: how many triangles a slot holds.
    """

    def __init__(self, slots: int, height: int, width: int, margin_px: int, device: str) -> None:
        self.height, self.width, self.device = height, width, device
        self._margin_px = margin_px
        self.triangles = MOST_TRIANGLES

        def planes(channels: int, rows: int, columns: int) -> Tensor:
            return torch.zeros(slots, channels, rows, columns, dtype=torch.uint8, device=device)

        self.person = planes(4, height + 2 * margin_px, width + 2 * margin_px)
        self.background = planes(3, height, width)
        self.image = torch.zeros(slots, height * width, dtype=torch.int32, device=device)
        self._floats = {name: torch.ones(slots, *shape, device=device) for name, shape in SHAPES.items()}
        corners = (slots, MOST_TRIANGLES, 3)
        self._indices = {
            name: torch.zeros(corners, dtype=torch.int64, device=device) for name in ("triangles", "corners")
        }

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        held = (self.person, self.background, self.image, *self._floats.values(), *self._indices.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def check(self, portrait: Portrait) -> None:
        """Refuses a portrait of another size.

        Raises:
            InvalidConfigError: with both sizes.
        """
        height, width = portrait.image.shape[:2]
        if (height, width, portrait.margin_px) != (self.height, self.width, self._margin_px):
            raise InvalidConfigError(
                f"the portrait is {width}×{height}; all sessions of a batch are {self.width}×{self.height}: frame the "
                "portrait at that size, or open it in a batch of its own",
                field="portrait",
            )

    def put(self, slot: int, tables: WarpTables) -> None:
        """Fills a slot."""

        def copied(target: Tensor, values: NDArray[np.generic]) -> None:
            target[slot].copy_(torch.from_numpy(values))

        copied(self.person, np.ascontiguousarray(tables.person.transpose(2, 0, 1)))
        copied(self.background, np.ascontiguousarray(tables.background.transpose(2, 0, 1)))
        copied(self.image, packed(np.concatenate([tables.image, tables.own_teeth[..., None]], 2)))
        for name, shape in SHAPES.items():
            copied(self._floats[name], np.ascontiguousarray(getattr(tables, name), np.float32).reshape(shape))
        for name, target in self._indices.items():
            padded = np.zeros((MOST_TRIANGLES, 3), np.int64)
            own = getattr(tables, name)
            padded[: len(own)] = own
            copied(target, padded)

    def clear(self, slot: int) -> None:
        """Forgets a person."""
        for target in (self.person, self.background, self.image, *self._indices.values()):
            target[slot].zero_()
        for target in self._floats.values():
            target[slot].fill_(1.0)

    def rows(self, slot_B: Tensor) -> Rows:
        """The small arrays of the sessions in these slots."""
        return {name: table.index_select(0, slot_B) for name, table in (self._floats | self._indices).items()}
