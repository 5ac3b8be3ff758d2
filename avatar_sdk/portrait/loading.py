"""From an uploaded file to a portrait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.portrait.config import PortraitConfig
from avatar_sdk.portrait.framing import choose_view, sample_canvas
from avatar_sdk.portrait.layers import make_background, part_layers, person_matte
from avatar_sdk.portrait.photo import decode_photo, read_photo
from avatar_sdk.portrait.reader import PortraitReader


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo at the output's size, parted into person and background, with its landmarks.

    Attributes:
        image: (H, W, 3) uint8 RGB in [0, 255], the photo at the output's size and field of view.
        landmarks: (478, 3) float32 MediaPipe face landmarks in output pixels; z in the same unit, negative towards the
            camera.
        alpha: (H, W) uint8, 255 = person.
        background: (H, W, 3) uint8 RGB, what stands behind the person, filled in where the person stood.
        affine: (2, 3) float32, photo pixels → output pixels; a pixel's index is its centre.
        person: (H + 2 * margin_px, W + 2 * margin_px, 4) uint8 RGBA, colours multiplied by alpha: the person, with
            what the photo shows beyond the output's edges.
        margin_px: how far `person` reaches beyond each edge of the output.
        faces: faces found in the photo; the largest is used.
    """

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    alpha: NDArray[np.uint8]
    background: NDArray[np.uint8]
    affine: NDArray[np.float32]
    person: NDArray[np.uint8]
    margin_px: int
    faces: int = 1


def load_portrait(
    source: bytes | Path, config: PortraitConfig | None = None, reader: PortraitReader | None = None
) -> Portrait:
    """Decodes a photo, finds the largest face and makes it ready to be moved.

    Args:
        source: an encoded JPEG, PNG or WebP, or the path of one.
        config: output size, framing and background.
        reader: keep one to save the loading of its graphs; without it, one is made for this call.

    Raises:
        InvalidPortraitError: not a usable image, or no usable face in it; `field` is "portrait".
        InvalidConfigError: the background picture cannot be used.
    """
    config = config or PortraitConfig()
    photo, reduced = decode_photo(read_photo(source))
    if reader is None:
        with PortraitReader() as own:
            return _prepare(photo, reduced, config, own)
    return _prepare(photo, reduced, config, reader)


def _prepare(photo: NDArray[np.uint8], reduced: float, config: PortraitConfig, reader: PortraitReader) -> Portrait:
    face = reader.find_face(photo)
    view = choose_view(face.landmarks, (photo.shape[1], photo.shape[0]), config)
    canvas, beyond = sample_canvas(photo, view, config)
    margin = view.margin_px
    scale = view.affine[0, 0]
    landmarks = face.landmarks * scale
    landmarks[:, :2] += view.affine[:, 2]
    matte = person_matte(canvas, reader.find_person(canvas), landmarks + np.array([margin, margin, 0], np.float32))
    face_px = float(np.ptp(landmarks[:, :2], 0).max())
    person, behind = part_layers(canvas, matte, beyond, margin, 0.03 * face_px)
    window = np.s_[margin:-margin, margin:-margin]
    background = make_background(behind, config.background)
    seen = person[window].astype(np.uint16)
    image = seen[..., :3] + (background * (255 - seen[..., 3:]) + 127) // 255
    affine = view.affine.copy()
    affine[:, :2] *= reduced
    affine[:, 2] += view.affine[0, 0] * (reduced - 1) / 2
    return Portrait(
        image=np.minimum(image, 255).astype(np.uint8),
        landmarks=landmarks,
        alpha=np.ascontiguousarray(person[window][..., 3]),
        background=background,
        affine=affine,
        person=person,
        margin_px=margin,
        faces=face.faces,
    )
