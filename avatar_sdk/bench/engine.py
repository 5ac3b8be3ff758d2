"""The engine without a service: every stage alone, then all of it flat out on two threads."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from avatar_client.pose_file import PoseReader
from avatar_client.tracking import PoseTracker
from numpy.typing import NDArray

from avatar_sdk.encode import JpegEncoder
from avatar_sdk.engine import Avatar, Draft, Engine, EngineConfig
from avatar_sdk.portrait import load_portrait
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES, forth_and_back

WARM_UP: Final = 24
STAGE_FRAMES: Final = 150
INTERVAL_US: Final = 41_667


@dataclass(frozen=True)
class Unpaced:
    """The engine flat out.

    Attributes:
        fps: generated and encoded frames a second, without tracking.
        frames: how many were made.
    """

    fps: float
    frames: int


def run_unpaced(model: str, seconds: float) -> tuple[dict[str, float], Unpaced]:
    """Stage → median milliseconds on one thread, and the rate of two threads as in the service."""
    engine = Engine.load(EngineConfig(model=model, slots=1))
    avatar = engine.open(load_portrait(SAMPLE_PORTRAIT))
    try:
        stages, pictures = _stages(engine, avatar)
        stages["track"] = _tracking(pictures)
        order = ("track", "motion", "warp", "generator", "decode", "composite", "encode")
        return {name: round(stages[name], 3) for name in order}, _pipelined(engine, avatar, seconds)
    finally:
        engine.close(avatar)


def _stages(engine: Engine, avatar: Avatar) -> tuple[dict[str, float], list[NDArray[np.uint8]]]:
    encoder = JpegEncoder()
    spent_us: dict[str, list[int]] = defaultdict(list)
    pictures = []
    poses = forth_and_back(PoseReader(SAMPLE_POSES))
    for k, pose in enumerate(islice(poses, WARM_UP + STAGE_FRAMES)):
        picture = engine.step(avatar, pose, k * INTERVAL_US)
        started = time.perf_counter_ns()
        encoder.encode(picture.image)
        encode_us = (time.perf_counter_ns() - started) // 1000
        if k >= WARM_UP:
            pictures.append(picture.image)
            for stage, stage_us in (*picture.timings_us.items(), ("encode", encode_us)):
                spent_us[stage].append(stage_us)
    return {stage: float(np.median(values)) / 1000 for stage, values in spent_us.items()}, pictures


def _tracking(pictures: list[NDArray[np.uint8]]) -> float:
    """Median milliseconds of MediaPipe on 512×512 pictures of a moving face."""
    spent_ms = []
    with PoseTracker() as tracker:
        for k, picture in enumerate(pictures):
            started = time.perf_counter()
            tracker.track(picture, k * INTERVAL_US)
            spent_ms.append(1000 * (time.perf_counter() - started))
    return float(np.median(spent_ms[WARM_UP:]))


def _pipelined(engine: Engine, avatar: Avatar, seconds: float) -> Unpaced:
    """`advance` on one thread, `finish` and encoding on another, one draft between them."""
    drafts: queue.Queue[Draft | None] = queue.Queue(1)
    stop = threading.Event()

    def advance() -> None:
        poses = forth_and_back(PoseReader(SAMPLE_POSES))
        for k, pose in enumerate(poses):
            drafts.put(engine.advance(avatar, pose, (WARM_UP + STAGE_FRAMES + k) * INTERVAL_US))
            if stop.is_set():
                break
        drafts.put(None)

    encoder = JpegEncoder()
    producer = threading.Thread(target=advance, name="advance", daemon=True)
    producer.start()
    frames = -WARM_UP
    started = time.perf_counter()
    while (draft := drafts.get()) is not None:
        encoder.encode(engine.finish(avatar, draft).image)
        frames += 1
        if frames == 0:
            started = time.perf_counter()
        elif frames > 0 and time.perf_counter() - started >= seconds and not stop.is_set():
            stop.set()
            made, spent_s = frames, time.perf_counter() - started
    producer.join()
    return Unpaced(round(made / spent_s, 2), made)
