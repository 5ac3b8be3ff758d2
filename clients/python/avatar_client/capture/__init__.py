"""Cameras by name, and video files: both give RGB images with their capture times.

FrameSource                 iterate: ((H, W, 3) uint8 RGB, timestamp_us)
├── VideoSource                 every frame of a file, with the file's own times
├── PacedVideoSource            a file as if it were a camera: on time, the newest frame wins
└── CameraSource                a live camera, read by a thread of its own, the newest frame wins
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avatar_client.capture.camera import Camera, CameraSource, find_camera, list_cameras
from avatar_client.capture.source import CaptureConfig, FrameSource, Image, Shot
from avatar_client.capture.video import PacedVideoSource, VideoSource

__all__ = [
    "Camera",
    "CameraSource",
    "CaptureConfig",
    "FrameSource",
    "Image",
    "PacedVideoSource",
    "Shot",
    "VideoSource",
    "find_camera",
    "list_cameras",
    "mirrored",
    "open_source",
]


def open_source(spec: str, config: CaptureConfig | None = None) -> FrameSource:
    """Opens "0" (a camera's index), a part of a camera's name, or a video file.

    Raises:
        CameraError: no such camera, or it gives no image: taken by another program, or not permitted.
        InvalidVideoError: the file is missing or holds no readable video.
        MissingDependencyError: the `webcam` extra is not installed.
    """
    config = config or CaptureConfig()
    if not spec.isdecimal() and (Path(spec).exists() or Path(spec).suffix or "/" in spec):
        video = VideoSource(spec, loop=config.loop)
        return PacedVideoSource(video) if config.realtime else video
    return CameraSource(find_camera(spec), config)


def mirrored(image: Image) -> Image:
    """The image as in a mirror, for display only: poses come from unmirrored images."""
    return np.ascontiguousarray(image[:, ::-1])
