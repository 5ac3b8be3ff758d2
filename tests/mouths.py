"""Whether the mouth of the avatar on the page's canvas goes with the driver's."""

from __future__ import annotations

import numpy as np
import pytest
from avatar_client.tracking import PoseTracker
from browser import TRACKER, Visit, decoded
from numpy.typing import NDArray

UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152

WATCH = """async (most) => {
  const { session } = avatarPage.show;
  const driven = new Map();
  const send = session.send.bind(session);
  session.send = (pose) => {
    if (pose.face) {
      const at = (i) => pose.face.slice(3 * i, 3 * i + 2);
      const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      driven.set(pose.timestampUs, far(at(13), at(14)) / far(at(10), at(152)));
    }
    return send(pose);
  };
  const canvas = document.getElementById("avatar");
  const pen = canvas.getContext("2d");
  const seen = [];
  let frame = null;
  const off = session.on("frame", (next) => { frame = next; });
  let lastMs = 0;
  pen.drawImage = (...picture) => {
    CanvasRenderingContext2D.prototype.drawImage.apply(pen, picture);
    const mouth = frame?.source === "pose" ? driven.get(frame.poseTimestampUs) : undefined;
    if (mouth !== undefined && performance.now() > lastMs + 100) {
      lastMs = performance.now();
      seen.push({ mouth, picture: canvas.toDataURL("image/jpeg", 0.9) });
    }
  };
  const enough = () => {
    const mouths = seen.map(({ mouth }) => mouth);
    return seen.length >= 40 && Math.max(...mouths) - Math.min(...mouths) > 0.03;
  };
  const startMs = performance.now();
  while (performance.now() < startMs + 6000 || (!enough() && performance.now() < startMs + 1000 * most)) {
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  delete pen.drawImage;
  off();
  delete session.send;
  return seen;
}"""
"""Pairs what the canvas shows, ten times a second, with the mouth of the driver's pose that it shows, until
there are enough pairs and the mouth has been open."""


def needs_tracker() -> None:
    if not TRACKER.is_dir():
        pytest.skip("TRACKING IN THE PAGE IS NOT TESTED: the tracker's files are absent; `make page` copies them")


def opening(picture: NDArray[np.uint8], tracker: PoseTracker, timestamp_us: int) -> float:
    """Of the avatar's mouth, in face heights; NaN where there is no face."""
    pose = tracker.track(picture, timestamp_us)
    if not pose.face_present:
        return float("nan")
    lips = np.linalg.norm(pose.face[UPPER_LIP, :2] - pose.face[LOWER_LIP, :2])
    return float(lips / np.linalg.norm(pose.face[FOREHEAD, :2] - pose.face[CHIN, :2]))


def check_mouth(visit: Visit, most_s: float = 60) -> None:
    """The avatar's mouth on the canvas goes with the driver's; a busy machine may take long to show enough of it."""
    seen = visit.page.evaluate(WATCH, most_s)
    driver = np.array([one["mouth"] for one in seen])
    with PoseTracker() as tracker:
        avatar = np.array([opening(decoded(one["picture"]), tracker, 40_000 * k) for k, one in enumerate(seen)])
    found = np.isfinite(avatar)
    assert found.sum() >= 12
    assert found.mean() > 0.9
    assert driver.max() - driver.min() > 0.02
    assert np.corrcoef(driver[found], avatar[found])[0, 1] > 0.6
    assert not visit.faults()
