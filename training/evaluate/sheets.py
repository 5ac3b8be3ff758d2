"""Contact sheets of what was compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.pose import Pose
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from avatar_sdk.animate import driver_view
from avatar_sdk.driver import Observation
from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.motion import MotionConfig, Neutral
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime.protocol import Runtime
from avatar_sdk.timeline import Tick
from training.evaluate.reel import VIEW_PX, Reel
from training.evaluate.reenactment import reduced

Pixels = NDArray[np.uint8]

LABEL_PX: Final = 18
LOOKS: Final = 6


def save_sheet(rows: Mapping[str, Pixels], path: Path) -> None:
    """Writes rows of equal width, each under its name."""
    strips = []
    for name, row in rows.items():
        label = Image.new("RGB", (row.shape[1], LABEL_PX), "white")
        ImageDraw.Draw(label).text((4, 3), name, fill="black")
        strips += [np.asarray(label), row]
    Image.fromarray(np.concatenate(strips)).save(path)


def cross_sheet(
    portrait: Portrait, reel: Reel, runtimes: Mapping[str, Runtime], looks: int = LOOKS
) -> dict[str, Pixels]:
    """Rows of a sheet: the driver with landmarks, then somebody else's portrait moved by each system."""
    picked = np.unique(np.linspace(0, len(reel) - 1, looks + 1).round().astype(int)[1:]).tolist()
    aspect = reel.frames[0].shape[0] / reel.frames[0].shape[1]
    rows = {"driver": np.concatenate([_square(driver_view(_tick(reel, k), VIEW_PX, aspect)) for k in picked], 1)}
    for name, runtime in runtimes.items():
        engine = Engine(runtime, EngineConfig(model=name, slots=1))
        avatar = engine.open(portrait, MotionConfig(neutral=Neutral.FIRST, idle=False))
        try:
            cells = []
            for k, pose in enumerate(reel.poses):
                image = engine.step(avatar, pose, pose.timestamp_us).image
                if k in picked:
                    cells.append(reduced(image))
        finally:
            engine.close(avatar)
        rows[name] = np.concatenate(cells, 1)
    return rows


def stacked(rows: Sequence[Mapping[str, Pixels]]) -> dict[str, Pixels]:
    """Several sheets as one; names are numbered where they repeat."""
    joined: dict[str, Pixels] = {}
    for number, sheet in enumerate(rows, 1):
        joined |= {f"{name} {number}": row for name, row in sheet.items()}
    return joined


def _tick(reel: Reel, k: int) -> Tick:
    pose: Pose = reel.poses[k]
    return Tick(pose.timestamp_us, pose, Observation(pose, reel.frames[k]))


def _square(view: Pixels) -> Pixels:
    """The middle of a (VIEW_PX, W, 3) picture, or black beside it."""
    width = view.shape[1]
    if width >= VIEW_PX:
        left = (width - VIEW_PX) // 2
        return view[:, left : left + VIEW_PX]
    left = (VIEW_PX - width) // 2
    return np.pad(view, ((0, 0), (left, VIEW_PX - width - left), (0, 0)))
