"""Films for a browser's pretended camera: a driver that is painted, so that no media is needed."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path

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


def write_film(path: Path, empty_frames: int = EMPTY_FRAMES) -> Path:
    """Motion JPEG, which Chromium plays as a camera, over and over, at 30 frames a second."""
    wall = np.full((HEIGHT_PX, WIDTH_PX, 3), 180, np.uint8)
    with path.open("wb") as file:
        for image in chain(driver_frames(), repeat(wall, empty_frames)):
            written, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            assert written
            file.write(data.tobytes())
    return path
