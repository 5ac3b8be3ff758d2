"""Makes what the page shows without a camera: the sample portrait and the sample driver, small.

Run it after a change of `avatar_sdk/assets/sample.poses` or `sample_portrait.png`; its files are committed.
`page/src/demo_poses.ts` describes the format and reads it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "avatar_sdk/assets"
PUBLIC = ROOT / "page/public"
COMPONENTS = 24
"""Leaves at most half a pixel of a 640 pixel wide camera, and a tenth on average."""
QUALITY = 88


def pack_poses(faces: NDArray[np.float32], fps: float) -> bytes:
    """The faces, (N, 478, 3) in image widths, as mean, basis and weights."""
    flat = faces.reshape(len(faces), -1).astype(np.float64)
    mean = flat.mean(axis=0).astype(np.float32)
    left, sizes, basis = np.linalg.svd(flat - mean, full_matrices=False)
    weights = left[:, :COMPONENTS] * sizes[:COMPONENTS]
    basis = basis[:COMPONENTS]
    basis_scales = (np.abs(basis).max(axis=1) / 32767).astype(np.float32)
    weight_scales = (np.abs(weights).max(axis=0) / 32767).astype(np.float32)
    return b"".join(
        (
            b"AVDEMO",
            struct.pack("<HHHf", 1, len(faces), COMPONENTS, fps),
            mean.astype("<f4").tobytes(),
            basis_scales.astype("<f4").tobytes(),
            weight_scales.astype("<f4").tobytes(),
            np.round(basis / basis_scales[:, None]).astype("<i2").tobytes(),
            np.round(weights / weight_scales).astype("<i2").tobytes(),
        )
    )


def make() -> None:
    """Writes both files."""
    PUBLIC.mkdir(parents=True, exist_ok=True)
    poses = PoseReader(ASSETS / "sample.poses")
    faces = np.stack([pose.face for pose in poses])
    (PUBLIC / "demo_poses.bin").write_bytes(pack_poses(faces, poses.info.fps))
    Image.open(ASSETS / "sample_portrait.png").convert("RGB").save(
        PUBLIC / "sample_portrait.webp", quality=QUALITY, method=6
    )
    for path in sorted(PUBLIC.glob("*")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    make()
