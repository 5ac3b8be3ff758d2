"""What is seen in every frame of a video.

H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from avatar_client.capture import VideoSource
from avatar_client.tracking import PoseTracker, TrackerConfig, quiet_mediapipe
from numpy.typing import NDArray
from skimage.measure import blur_effect

from avatar_sdk.motion.measures import Measures
from avatar_sdk.portrait import PortraitReader
from training.prepare.config import PrepareConfig
from training.prepare.cuts import CutFinder

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

TRACKING: Final = TrackerConfig(face_looks=2)
SHARPEST_PX: Final = 160
"""Side of the face in which blur is looked for; a smaller face is not enlarged. Finer detail is no longer learned."""


@dataclass(frozen=True, eq=False)
class Look:
    """One frame, tracked and measured.

    Attributes:
        index: of the frame in the file.
        time_us: in the file.
        image: (H, W, 3) uint8 RGB, reduced to the working size.
        face: (478, 3) float32 landmarks in image widths; None = no face.
        measures: of the face.
        faces: how many faces the last look for several has found, small ones left out.
        counted: whether that look was at this frame.
        blur: of the face, in [0, 1], 0 = sharp; Crété-Roffet et al. 2007, "The blur effect".
        cut: whether there is a cut before it, as far as the picture tells.
    """

    index: int
    time_us: int
    image: Pixels
    face: Floats | None
    measures: Measures | None
    faces: int
    counted: bool
    blur: float
    cut: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the face. Unit: pixels of `image`."""
        assert self.face is not None
        low, high = self.face[:, :2].min(0), self.face[:, :2].max(0)
        width = self.image.shape[1]
        return tuple((np.array([*low, *high]) * width).tolist())

    @property
    def face_px(self) -> float:
        """Larger side of the face's box."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)


def looks(
    path: Path,
    config: PrepareConfig,
    reader: PortraitReader,
    first: int = 0,
    span_s: tuple[float, float] = (0.0, math.inf),
) -> Generator[Look, None, None]:
    """Frames, thinned out to the wanted rate.

    Args:
        path: of the video.
        config: how it is looked at.
        reader: counts faces.
        first: number of the first frame that is wanted.
        span_s: only those from the first of these times on and before the second, counted from the file's first frame.

    Raises:
        InvalidVideoError: the file cannot be read, or not to its end.
    """
    finder = CutFinder(config.cut, config.gap_s)
    last_us = -math.inf
    faces = shown = 0
    with VideoSource(path) as video, ExitStack() as stack:
        tracker = stack.enter_context(PoseTracker(TRACKING))
        begin_us: int | None = None
        for index, (frame, time_us) in enumerate(video):
            begin_us = time_us if begin_us is None else begin_us
            at_s = (time_us - begin_us) / 1e6
            if at_s >= span_s[1]:
                break
            if index < first or at_s < span_s[0] or time_us - last_us < 0.75e6 / config.fps:
                continue
            image = reduced(frame, config.side_px)
            cut = finder.see(image, time_us)
            if cut:  # one that has followed another face would look for it in the wrong place
                stack.close()
                tracker = stack.enter_context(PoseTracker(TRACKING))
            pose = tracker.track(image, time_us)
            face = pose.face if pose.face_present else None
            counted = cut or shown % config.faces_every == 0
            if counted:
                with quiet_mediapipe(shown == 0):
                    faces = _large(reader.find_boxes(image), config.second_face)
            yield Look(
                index=index,
                time_us=time_us,
                image=image,
                face=face,
                measures=None if face is None else Measures.of(face),
                faces=faces,
                counted=counted,
                blur=1.0 if face is None else face_blur(image, face),
                cut=cut,
            )
            last_us, shown = time_us, shown + 1


def look_at(image: Pixels, index: int) -> Look | None:
    """A single picture, already reduced; None = no face."""
    with PoseTracker(TRACKING) as tracker:
        pose = tracker.track(image, 0)
    if not pose.face_present:
        return None
    blur = face_blur(image, pose.face)
    return Look(index, 0, image, pose.face, Measures.of(pose.face), 1, False, blur, False)


def reduced(frame: Pixels, side_px: int) -> Pixels:
    """The frame, at most `side_px` on its longer side."""
    scale = side_px / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = (round(scale * frame.shape[1]), round(scale * frame.shape[0]))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def face_blur(image: Pixels, face: Floats) -> float:
    """How blurred the face is, in [0, 1]; contrast and brightness do not count. 1 when it lies outside the picture."""
    height, width = image.shape[:2]
    low, high = face[:, :2].min(0) * width, face[:, :2].max(0) * width
    left, top = low.clip(0, None).astype(int)
    right, bottom = high.clip(0, (width, height)).astype(int)
    if min(right - left, bottom - top) < 16:
        return 1.0
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    scale = SHARPEST_PX / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(blur_effect(grey))


def _large(boxes: list[Floats], share: float) -> int:
    """How many boxes are not much lower than the largest."""
    return sum(float(box[3]) > share * float(boxes[0][3]) for box in boxes)
