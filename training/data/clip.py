"""One training clip: what the camera saw, what the warp made of the portrait, and the pose maps.

All of it in the face-aligned crop, 256×256, for the `lite` family; or whole pictures, for video generators.

F frames, H rows, W columns. A clip is stored as a few packed strips, frames below each other.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from training.errors import DataError

Pixels = NDArray[np.uint8]

MAX_ROWS: Final = 65_535
"""Of a JPEG."""
MAX_FRAMES: Final = MAX_ROWS // 256
"""Crops in a clip."""
QUALITY: Final = 95


@dataclass(frozen=True, eq=False)
class Clip:
    """A portrait's avatar and the truth, frame by frame.

    Attributes:
        name: unique within its data set.
        truth: (F, H, W, 3) uint8 RGB, the camera's picture through the crop of the avatar, or all that it shows.
        warp: (F, H, W, 3) uint8 RGB, `WarpedFrame.crop` or `.image`.
        maps: (F, 8, H, W) uint8, `WarpedFrame.maps`.
        gate: (F, H, W) uint8, `WarpedFrame.gate`.
        reference: (11, H, W) uint8, the guide of the portrait at rest: RGB, then maps.
        info: where it comes from; plain values.
    """

    name: str
    truth: Pixels
    warp: Pixels
    maps: Pixels
    gate: Pixels
    reference: Pixels
    info: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Frames."""
        return len(self.truth)

    def encode(self) -> dict[str, bytes]:
        """File name ending → bytes. Pictures as JPEG without chroma subsampling, maps as zlib streams."""
        assert 1 <= len(self) <= MAX_ROWS // self.truth.shape[1]
        return {
            "truth.jpg": _jpeg(self.truth),
            "warp.jpg": _jpeg(self.warp),
            "maps.z": zlib.compress(self.maps.tobytes(), 1),
            "gate.z": zlib.compress(self.gate.tobytes(), 1),
            "reference.z": zlib.compress(self.reference.tobytes(), 1),
            "json": json.dumps({"frames": len(self), **self.info}).encode(),
        }

    @classmethod
    def decode(cls, name: str, files: Mapping[str, bytes]) -> Clip:
        """Inverse of `encode`, but for what JPEG loses.

        Raises:
            DataError: a strip is missing or damaged.
        """
        try:
            info = json.loads(files["json"])
            frames = info.pop("frames")
            truth, warp = (simplejpeg.decode_jpeg(files[f"{kind}.jpg"]) for kind in ("truth", "warp"))
            rows, width = truth.shape[:2]
            height = rows // frames
            maps, gate, reference = (_planes(files[f"{kind}.z"]) for kind in ("maps", "gate", "reference"))
            return cls(
                name=name,
                truth=truth.reshape(frames, height, width, 3),
                warp=warp.reshape(frames, height, width, 3),
                maps=maps.reshape(frames, -1, height, width),
                gate=gate.reshape(frames, height, width),
                reference=reference.reshape(-1, height, width),
                info=info,
            )
        except (KeyError, ValueError, zlib.error) as error:
            raise DataError(f"clip {name} is damaged: {error}") from error


def _jpeg(frames_FHWC: Pixels) -> bytes:
    strip = np.ascontiguousarray(frames_FHWC.reshape(-1, *frames_FHWC.shape[2:]))
    return bytes(simplejpeg.encode_jpeg(strip, quality=QUALITY, colorsubsampling="444"))


def _planes(data: bytes) -> Pixels:
    return np.frombuffer(bytearray(zlib.decompress(data)), np.uint8)
