"""A clip that drives its own first frame."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from avatar_client.errors import InvalidVideoError
from avatar_client.pose import Pose
from avatar_client.tracking import TrackerConfig
from numpy.typing import NDArray
from PIL import Image

from avatar_sdk.driver import open_driver
from avatar_sdk.portrait import Portrait, PortraitConfig, PortraitReader, load_portrait
from training.errors import DataError

Pixels = NDArray[np.uint8]
Landmarks = Literal["detected", "exact"]

VIDEOS: Final = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
VIEW_PX: Final = 256
"""Everything is measured at this size."""


@dataclass(frozen=True, eq=False)
class Reel:
    """One clip, read and tracked.

    Attributes:
        name: of the file.
        frames: F × (H, W, 3) uint8 RGB.
        poses: one per frame.
        fps: nominal rate.
        portrait: the first frame, prepared as an uploaded photo.
    """

    name: str
    frames: list[Pixels]
    poses: list[Pose]
    fps: float
    portrait: Portrait

    def __len__(self) -> int:
        """Frames."""
        return len(self.frames)

    def truth(self, k: int) -> Pixels:
        """(256, 256, 3): frame k in the field of view of the avatar."""
        return self.view(self.frames[k])

    def view(self, frame: Pixels) -> Pixels:
        """(256, 256, 3): a picture of the camera in the field of view of the avatar."""
        height, width = self.portrait.image.shape[:2]
        share = np.array([VIEW_PX / width, VIEW_PX / height])
        matrix = self.portrait.affine.astype(np.float64) * share[:, None]
        # Pixel centres: the avatar's picture is reduced by areas, which moves centres by half a pixel of difference.
        matrix[:, 2] += share / 2 - 0.5
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        if scale < 1:
            frame = cv2.GaussianBlur(frame, (0, 0), 0.35 * np.sqrt(1 / scale**2 - 1) + 1e-3).astype(np.uint8)
        size, border = (VIEW_PX, VIEW_PX), cv2.BORDER_REPLICATE
        return np.asarray(cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def clips_in(folders: list[Path]) -> list[Path]:
    """Every video among files and in folders, in the order of names.

    Raises:
        DataError: one does not exist, or there is no video.
    """
    found: list[Path] = []
    for path in folders:
        if not path.exists():
            raise DataError(f"{path} does not exist; give video files, or folders of them")
        found += sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEOS) if path.is_dir() else [path]
    if not found:
        raise DataError(f"there is no video ({', '.join(VIDEOS)}) in {', '.join(map(str, folders))}")
    return found


def read_reel(
    path: Path,
    config: PortraitConfig,
    landmarks: Landmarks = "detected",
    seconds: float | None = None,
    reader: PortraitReader | None = None,
) -> Reel:
    """Reads and tracks a clip.

    Args:
        path: of the video.
        config: how its first frame becomes a portrait; the size must be square.
        landmarks: "detected" by MediaPipe, or "exact": from the `.poses` file beside the video.
        seconds: only its beginning.
        reader: see `load_portrait`.

    Raises:
        InvalidVideoError: it cannot be read, or its first frame shows no face.
        InvalidPortraitError: its first frame is no portrait.
        DataError: there is no `.poses` file with a pose for every frame.
    """
    driver = open_driver(path, TrackerConfig(face_looks=2))
    limit = max(2, round(seconds * driver.fps)) if seconds else None
    frames, poses = [], []
    for seen in driver.observe():
        assert seen.image is not None
        frames.append(seen.image)
        poses.append(seen.pose)
        if len(frames) == limit:
            break
    if len(frames) < 2:
        raise InvalidVideoError(f"{path} has {len(frames)} frames; at least 2 are needed to see anything move")
    if landmarks == "exact":
        poses = list(_exact(path, poses))
    if not poses[0].face_present:
        raise InvalidVideoError(f"no face is seen in the first frame of {path}, which is to be the portrait")
    portrait = load_portrait(_png(frames[0]), config, reader)
    return Reel(path.stem, frames, poses, driver.fps, portrait)


def _exact(path: Path, seen: list[Pose]) -> Iterator[Pose]:
    beside = path.with_suffix(".poses")
    if not beside.is_file():
        raise DataError(
            f"{beside} does not exist; exact landmarks lie beside videos made by `training synthesize --videos`"
        )
    known = [one.pose for one, _ in zip(open_driver(beside).observe(), seen, strict=False)]
    if len(known) < len(seen):
        raise DataError(f"{beside} has {len(known)} poses, the video at least {len(seen)} frames")
    for pose, other in zip(known, seen, strict=True):
        yield Pose(other.timestamp_us, pose.face)


def _png(image: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
