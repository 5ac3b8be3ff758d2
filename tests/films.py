"""Films for a browser's pretended camera: of a driver that is painted, so that no media is needed, or of a clip."""

from __future__ import annotations

from itertools import chain, islice, repeat
from pathlib import Path

import av
import cv2
import numpy as np
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.portrait import PortraitConfig, load_portrait
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES

WIDTH_PX, HEIGHT_PX = 640, 480
POSES = range(40, 200)
"""In these the sample driver speaks twice."""
EMPTY_FRAMES = 60
"""Two seconds without a face."""


def driver_frames() -> list[NDArray[np.uint8]]:
    """The sample portrait moved by the warp, (480, 640, 3) uint8 RGB."""
    engine = Engine.load(EngineConfig(model="warp"))
    avatar = engine.open(load_portrait(SAMPLE_PORTRAIT, PortraitConfig(width_px=256, height_px=256)))
    poses = PoseReader(SAMPLE_POSES)
    images = [engine.step(avatar, pose, pose.timestamp_us).image for pose in (poses[k] for k in POSES)]
    engine.close(avatar)
    side_px = (WIDTH_PX - HEIGHT_PX) // 2
    scaled = (cv2.resize(image, (HEIGHT_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC) for image in images)
    return [
        cv2.copyMakeBorder(image, 0, 0, side_px, side_px, cv2.BORDER_REPLICATE).astype(np.uint8) for image in scaled
    ]


def clip_frames(clip: Path, most: int = 300) -> list[NDArray[np.uint8]]:
    """The first frames of a driving clip, cut to the camera's shape."""
    images = []
    with av.open(str(clip)) as container:
        for frame in islice(container.decode(video=0), most):
            image = frame.to_ndarray(format="rgb24")
            scale = max(WIDTH_PX / image.shape[1], HEIGHT_PX / image.shape[0])
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            top, left = (image.shape[0] - HEIGHT_PX) // 2, (image.shape[1] - WIDTH_PX) // 2
            images.append(image[top : top + HEIGHT_PX, left : left + WIDTH_PX].astype(np.uint8))
    return images


def write_film(path: Path, frames: list[NDArray[np.uint8]], empty_frames: int = 0) -> Path:
    """Motion JPEG, which Chromium plays as a camera, over and over, at 30 frames a second."""
    wall = np.full((HEIGHT_PX, WIDTH_PX, 3), 180, np.uint8)
    with path.open("wb") as file:
        for image in chain(frames, repeat(wall, empty_frames)):
            written, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            assert written
            file.write(data.tobytes())
    return path
