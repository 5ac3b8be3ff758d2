"""Small videos and pose files for tests, made of the sample portrait."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from avatar_client.pose_file import PoseReader, PoseWriter
from numpy.typing import NDArray

ASSETS = Path(__file__).resolve().parent.parent / "avatar_sdk/assets"


def write_poses(path: Path, count: int = 12, start: int = 0) -> Path:
    """The first poses of the sample."""
    poses = PoseReader(ASSETS / "sample.poses")
    with PoseWriter(path, poses.info) as writer:
        for pose in poses[start : start + count]:
            writer.write(pose)
    return path


def portrait_frames(count: int, side_px: int = 256) -> list[NDArray[np.uint8]]:
    """The sample portrait, nodding: (side, side, 3) uint8 RGB."""
    photo = cv2.cvtColor(cv2.imread(str(ASSETS / "sample_portrait.png")), cv2.COLOR_BGR2RGB)
    photo = cv2.resize(photo, (side_px, side_px), interpolation=cv2.INTER_AREA)
    moves = (np.float32([[1, 0, 0], [0, 1, 4 * np.sin(k / 3)]]) for k in range(count))
    size = (side_px, side_px)
    return [cv2.warpAffine(photo, move, size, borderMode=cv2.BORDER_REPLICATE) for move in moves]


def write_video(
    path: Path, frames: list[NDArray[np.uint8]], fps: int = 25, sound: str | None = None, format: str | None = None
) -> Path:
    """A video of the frames, with a tone in the codec `sound`."""
    with av.open(str(path), "w", format=format) as container:
        video = container.add_stream("libx264", rate=fps)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        tone = container.add_stream(sound, rate=48_000, layout="stereo") if sound else None
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if tone:
            samples = np.sin(2 * np.pi * 440 * np.arange(48_000 * len(frames) // fps) / 48_000).astype(np.float32)
            for start in range(0, len(samples) - 1023, 1024):
                block = np.tile(samples[start : start + 1024], (2, 1))
                if tone.codec_context.format.name == "s16":
                    frame = av.AudioFrame.from_ndarray(
                        np.ascontiguousarray((block * 20_000).astype(np.int16).T.reshape(1, -1)), "s16", "stereo"
                    )
                else:
                    frame = av.AudioFrame.from_ndarray(0.5 * block, "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path
