"""Looks whether everything that an avatar needs works on this machine, and says what to do where it does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from avatar_client.errors import AvatarError, SessionStateLostError

from avatar_sdk.machine import Machine, installed
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES

NEEDED: Final = ("av", "grpcio", "mediapipe", "numba", "numpy", "pillow", "protobuf", "simplejpeg")
ROUND_TRIP_S: Final = 20.0


class Verdict(Enum):
    """How a check went."""

    GOOD = "ok"
    REMARK = "note"
    BAD = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what.
        verdict: how it went; only BAD keeps avatars from working.
        text: what was found, and where it is not good, what to do.
    """

    subject: str
    verdict: Verdict
    text: str


def examine(model: str, camera: str | None) -> Iterator[Finding]:
    """All checks, one after another; each is made when its finding is asked for."""
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("Python", _python),
        ("machine", _machine),
        ("packages", _packages),
        ("inference", lambda: _inference(model)),
        ("tracking", _tracking),
        ("camera", lambda: _camera(camera)),
        ("model", lambda: _model(model)),
        ("service", lambda: _service(model)),
    )
    for subject, check in checks:
        try:
            yield check()
        except AvatarError as error:
            yield Finding(subject, Verdict.BAD, error.message)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding(
            "Python", Verdict.BAD, f"{version}; MediaPipe 0.10.21 needs 3.11 or 3.12: make a new environment"
        )
    return Finding("Python", Verdict.GOOD, version)


def _machine() -> Finding:
    machine = Machine.here()
    text = f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB"
    if machine.cores < 2:
        return Finding("machine", Verdict.REMARK, f"{text}; 24 fps with tracking want two cores, so frames will drop")
    return Finding("machine", Verdict.GOOD, text)


def _packages() -> Finding:
    found = installed(NEEDED)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        return Finding("packages", Verdict.BAD, f"missing {', '.join(missing)}; pip install 'avatar-sdk[cpu]'")
    flavours = tuple(installed(("opencv-python", "opencv-python-headless", "opencv-contrib-python")))
    if len(flavours) > 1:
        return Finding(
            "packages",
            Verdict.BAD,
            f"{' and '.join(flavours)} overwrite each other; pip uninstall all of them, then "
            "pip install opencv-contrib-python",
        )
    return Finding("packages", Verdict.GOOD, ", ".join(f"{name} {version}" for name, version in found.items()))


def _inference(model: str) -> Finding:
    found = installed(("onnxruntime", "onnxruntime-gpu"))
    if len(found) == 2:
        return Finding(
            "inference",
            Verdict.BAD,
            "onnxruntime and onnxruntime-gpu overwrite each other; pip uninstall both, then install one: "
            "pip install 'avatar-sdk[cpu]' or 'avatar-sdk[gpu]'",
        )
    if not found:
        verdict = Verdict.REMARK if model == "warp" else Verdict.BAD
        return Finding(
            "inference", verdict, "no ONNX Runtime, so only --model warp works; pip install 'avatar-sdk[cpu]'"
        )
    name, version = next(iter(found.items()))
    return Finding("inference", Verdict.GOOD, f"{name} {version}")


def _tracking() -> Finding:
    import cv2
    import numpy as np
    from avatar_client.tracking import PoseTracker

    image = cv2.cvtColor(cv2.imread(str(SAMPLE_PORTRAIT)), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    with PoseTracker() as tracker:
        found = tracker.track(image, 0).face_present
        started = time.perf_counter()
        tracker.track(image, 1)
        spent_ms = 1000 * (time.perf_counter() - started)
    if not found:
        return Finding("tracking", Verdict.BAD, "no face found in the sample portrait; reinstall mediapipe==0.10.21")
    return Finding("tracking", Verdict.GOOD, f"finds the sample's face, {spent_ms:.0f} ms an image")


def _camera(camera: str | None) -> Finding:
    from avatar_client.capture import list_cameras, open_source

    cameras = list_cameras()
    if camera is None and not cameras:
        return Finding("camera", Verdict.REMARK, "none found; a video file can stand in for one")
    with open_source(camera or str(cameras[0].index)) as source:
        _, _ = next(iter(source))
        return Finding("camera", Verdict.GOOD, f"{source.name}, {source.width_px}×{source.height_px}")


def _model(model: str) -> Finding:
    from avatar_client.pose_file import PoseReader

    from avatar_sdk.engine import Engine, EngineConfig
    from avatar_sdk.portrait import load_portrait

    engine = Engine.load(EngineConfig(model=model, slots=1))
    avatar = engine.open(load_portrait(SAMPLE_PORTRAIT))
    poses = PoseReader(SAMPLE_POSES)
    for pose in poses[:12]:
        engine.step(avatar, pose, pose.timestamp_us)
    started = time.perf_counter()
    for pose in poses[12:24]:
        engine.step(avatar, pose, pose.timestamp_us)
    spent_ms = 1000 * (time.perf_counter() - started) / 12
    engine.close(avatar)
    trained = ", ".join(engine.runtime.trained_stages) or "untrained, so that its output is the warp"
    text = f"{engine.runtime.name} ({trained}), {spent_ms:.0f} ms a frame on one thread"
    if spent_ms > 60:
        return Finding("model", Verdict.REMARK, f"{text}; too slow for 24 fps, so frames will drop: try --model warp")
    return Finding("model", Verdict.GOOD, text)


def _service(model: str) -> Finding:
    import avatar_client
    from avatar_client.pose_file import PoseReader

    from avatar_sdk.local_server import LocalServer, LocalServerConfig
    from avatar_sdk.pose_feed import PoseFeed, forth_and_back

    with (
        LocalServer(LocalServerConfig(model=model)) as server,
        avatar_client.connect(server.target) as client,
        client.session(SAMPLE_PORTRAIT, consent=True) as session,
        PoseFeed(session.send_pose, forth_and_back(PoseReader(SAMPLE_POSES)), rate_hz=30),
    ):
        for _ in range(24):
            if session.next_frame(ROUND_TRIP_S) is None:
                raise SessionStateLostError("the service closed the session; `avatar serve --verbose` says why")
        latency = session.statistics.pose_to_frame
    text = f"answers, pose → frame {latency.p50_ms:.0f} ms" if latency else "answers"
    return Finding("service", Verdict.GOOD, text)
