"""Makes training clips: what the product would show of a portrait, beside what the camera saw.

F frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from avatar_client.pose import Pose
from numpy.typing import NDArray

from avatar_sdk.motion import MotionConfig, Neutral, Retargeter
from avatar_sdk.portrait import Portrait
from avatar_sdk.portrait.layers import part_layers
from avatar_sdk.runtime.guide import at_rest, guide_of
from avatar_sdk.warp import CROP_PX, Warp, WarpedFrame
from avatar_sdk.warp.picture import gate_on_picture, maps_on_picture
from training.data.clip import Clip

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

REACH: Final = 0.03
"""How far around the person a photo is not trusted to be background. Unit: face sizes."""
MARGIN: Final = 0.125
"""How far the layers reach beyond the output. Unit: the output's larger side."""


@dataclass(frozen=True, eq=False)
class Footage:
    """What drives a portrait, and the truth it should look like.

    Attributes:
        frames: F × (H, W, 3) uint8 RGB, what the camera saw.
        faces: (F, 478, 3) float32 landmarks in image widths, as `Pose.face`.
        times_us: (F,) when.
        affine: (2, 3) float32, pixels of `frames` → output pixels of the portrait.
        neutral: (478, 3) float32 image widths, the driver's face in the moment of the portrait.
    """

    frames: Sequence[Pixels]
    faces: Floats
    times_us: NDArray[np.int64]
    affine: Floats
    neutral: Floats


def make_clip(
    name: str,
    portrait: Portrait,
    footage: Footage,
    motion: MotionConfig,
    info: Mapping[str, Any] | None = None,
    *,
    whole: bool = False,
) -> Clip:
    """Drives the portrait as the service would, and cuts truth and warp out with the same crop.

    Args:
        name: of the clip.
        portrait: who is driven.
        footage: what drives.
        motion: how.
        info: where it comes from.
        whole: whether nothing is cut: pictures of the portrait's own size.
    """
    warp, retargeter = Warp(portrait), Retargeter(portrait.landmarks, motion)
    state = retargeter.start()
    first = int(footage.times_us[0])
    retargeter.set_neutral(state, Pose(first, footage.neutral))
    warped, truth = [], []
    for frame, face, time_us in zip(footage.frames, footage.faces, footage.times_us.tolist(), strict=True):
        step = warp.step(retargeter.step(state, Pose(time_us, face), time_us))
        warped.append(step)
        truth.append(laid_over(frame, footage.affine, step) if whole else cut(frame, footage.affine, step))
    rest = warp.step(at_rest(portrait))
    return Clip(
        name=name,
        truth=np.stack(truth),
        warp=np.stack([w.image if whole else w.crop for w in warped]),
        maps=np.stack([maps_on_picture(w) if whole else w.maps for w in warped]),
        gate=np.stack([gate_on_picture(w) if whole else w.gate for w in warped]),
        reference=picture_guide(portrait, rest) if whole else guide_of(rest)[0],
        info=info or {},
    )


def picture_guide(portrait: Portrait, rest: WarpedFrame) -> Pixels:
    """(11, H, W): the portrait itself, and its pose maps."""
    return np.concatenate([portrait.image.transpose(2, 0, 1), maps_on_picture(rest)])


def cut(frame: Pixels, affine: Floats, warped: WarpedFrame) -> Pixels:
    """(256, 256, 3): the camera's picture through the crop of a warped frame."""
    outer, inner = warped.crop_affine.astype(np.float64), affine.astype(np.float64)
    joined = np.concatenate([outer[:, :2] @ inner[:, :2], (outer[:, :2] @ inner[:, 2] + outer[:, 2])[:, None]], 1)
    return _seen(frame, joined, (CROP_PX, CROP_PX))


def laid_over(frame: Pixels, affine: Floats, warped: WarpedFrame) -> Pixels:
    """(H, W, 3): the camera's picture where a warped frame shows it."""
    height, width = warped.image.shape[:2]
    return _seen(frame, affine.astype(np.float64), (width, height))


def _seen(frame: Pixels, joined: NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    """A frame through an affine view, without aliasing; beyond its edge the edge goes on."""
    scale = float(np.sqrt(abs(np.linalg.det(joined[:, :2]))))
    if scale < 1:
        frame = cv2.GaussianBlur(frame, (0, 0), 0.35 * np.sqrt(1 / scale**2 - 1) + 1e-3)
    flags = cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(frame, joined, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def driven_by_itself() -> MotionConfig:
    """The motion of a self-reenactment: the portrait's own moment is the neutral one."""
    return MotionConfig(neutral=Neutral.FIRST, idle=False)


def known_portrait(image: Pixels, landmarks: Floats, alpha: Pixels) -> Portrait:
    """A portrait of which landmarks and matte are known, at the size of the picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (478, 3) pixels.
        alpha: (H, W) uint8, 255 = person.
    """
    height, width = alpha.shape
    margin = 2 * round(MARGIN * max(height, width) / 2)
    canvas = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    matte = cv2.copyMakeBorder(alpha, margin, margin, margin, margin, cv2.BORDER_REPLICATE).astype(np.float32) / 255
    beyond = np.ones(matte.shape, np.float32)
    beyond[margin:-margin, margin:-margin] = 0
    face_px = float(np.ptp(landmarks[:, :2], 0).max())
    person, background = part_layers(canvas, matte, beyond, margin, REACH * face_px)
    seen = person[margin:-margin, margin:-margin].astype(np.uint16)
    shown = np.minimum(seen[..., :3] + (background * (255 - seen[..., 3:]) + 127) // 255, 255).astype(np.uint8)
    identity = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    return Portrait(
        image=shown,
        landmarks=landmarks.astype(np.float32),
        alpha=np.ascontiguousarray(person[margin:-margin, margin:-margin, 3]),
        background=background,
        affine=identity,
        person=person,
        margin_px=margin,
    )
