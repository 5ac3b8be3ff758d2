"""Temporal jitter: a driver who keeps still before a noisy camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from avatar_client.pose import Pose
from avatar_client.tracking import PoseTracker, TrackerConfig
from numpy.typing import NDArray

from avatar_sdk.motion import MotionConfig, Neutral
from avatar_sdk.runtime.protocol import Runtime
from training.evaluate.landmarks import LandmarkFinder
from training.evaluate.measures import Truth
from training.evaluate.reel import Reel
from training.evaluate.reenactment import cast, reduced

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StillnessConfig:
    """How a still driver is filmed.

    Attributes:
        frames: how many.
        settle: frames before anything is measured.
        moment: which frame of the clip stands still, in [0, 1].
        noise: standard deviation of the camera's noise. Unit: grey levels.
        seed: of the noise.
    """

    frames: int = 60
    settle: int = 12
    moment: float = 0.5
    noise: float = 3.0
    seed: int = 0


def jitter(
    reel: Reel, runtimes: Mapping[str, Runtime], find: LandmarkFinder, config: StillnessConfig
) -> dict[str, float]:
    """System → mean frame-to-frame change of the head, in grey levels; with the product's default smoothing."""
    poses = _still_poses(reel, config)
    first = find(reel.truth(0))
    assert first is not None, "the reel's first frame is its portrait"
    head = Truth.of(reel.truth(0), first).masks["head"]
    motion = MotionConfig(neutral=Neutral.FIRST, idle=False)
    changes: dict[str, list[float]] = {name: [] for name in runtimes}
    with cast(reel, runtimes, motion) as actors:
        for name, (engine, avatar) in actors.items():
            avatar.retargeter.set_neutral(avatar.motion, reel.poses[0])
            before: Pixels | None = None
            for k, pose in enumerate(poses):
                image = reduced(engine.step(avatar, pose, pose.timestamp_us).image)
                if before is not None and k >= config.settle:
                    changes[name].append(float(np.abs(image[head].astype(np.float32) - before[head]).mean()))
                before = image
    return {name: float(np.mean(values)) for name, values in changes.items()}


def _still_poses(reel: Reel, config: StillnessConfig) -> list[Pose]:
    frame = reel.frames[round(config.moment * (len(reel) - 1))]
    rng = np.random.default_rng(config.seed)
    poses = []
    with PoseTracker(TrackerConfig()) as tracker:
        for k in range(config.frames):
            noisy = frame + config.noise * rng.standard_normal(frame.shape, np.float32)
            poses.append(tracker.track(noisy.round().clip(0, 255).astype(np.uint8), round(k * 1e6 / reel.fps)))
    return poses
