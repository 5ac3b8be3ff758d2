"""What benchmarks move their portraits by."""

from __future__ import annotations

from itertools import islice

from avatar_client.pose_file import PoseReader

from avatar_sdk.motion import Motion, Retargeter
from avatar_sdk.portrait import Portrait
from avatar_sdk.pose_feed import SAMPLE_POSES, forth_and_back

INTERVAL_US = 41_667


def sample_motions(portrait: Portrait, count: int) -> list[Motion]:
    """The sample driver's first motions, at 24 a second."""
    retargeter = Retargeter(portrait.landmarks)
    state = retargeter.start()
    poses = islice(forth_and_back(PoseReader(SAMPLE_POSES)), count)
    return [retargeter.step(state, pose, k * INTERVAL_US) for k, pose in enumerate(poses)]
