"""Measures the page: a real service, a real Chromium, both on this machine.

    python tools/measure_page.py                            # two minutes of replayed poses, two of tracking, one stall
    python tools/measure_page.py --seconds 60 --film me.mp4 # another driver before the pretended camera
    python tools/measure_page.py --json

Delays are told by the page itself: from the time stamp of a pose (when it was sent, or its camera image came) to the
moment the frame that shows it is drawn on the canvas. It needs the dev extra, Chromium, and `make page`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the same server and browser as in the tests

from browser import PageServer, Visit, chromium  # noqa: E402
from films import clip_frames, driver_frames, write_film  # noqa: E402

WATCH = """async ([seconds, stallMs]) => {
  const { session } = avatarPage.show;
  const canvas = document.getElementById("avatar");
  const pen = canvas.getContext("2d");
  const drawn = [];
  let frame = null;
  const off = session.on("frame", (next) => { frame = next; });
  pen.drawImage = (...picture) => {
    CanvasRenderingContext2D.prototype.drawImage.apply(pen, picture);
    if (frame) {
      const now = performance.now();
      drawn.push([now, frame.source === "pose" ? now - frame.poseTimestampUs / 1000 : null]);
    }
  };
  const startMs = performance.now();
  if (stallMs) {
    setTimeout(() => { while (performance.now() < startMs + 2000 + stallMs); }, 2000);
  }
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds + stallMs));
  delete pen.drawImage;
  off();
  return { startMs, drawn, stats: session.stats(), tracking: avatarPage.show.driver.stats?.() ?? null };
}"""
"""Every drawn frame of the next seconds as [time, age of the pose it shows or null]; stalls the tab after 2 s."""


def quantiles(delays_ms: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, to a tenth of a millisecond."""
    p50, p95 = np.percentile(delays_ms, (50, 95)) if len(delays_ms) else (float("nan"), float("nan"))
    return {"p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}


def cpu_s(service: int) -> dict[str, float]:
    """Processor time that the service and the browser have used so far. Unit: seconds."""
    used = {"service": 0.0, "browser": 0.0}
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
            ours = process.pid == service or service in (parent.pid for parent in process.parents())
            if ours or "chrom" in process.name():
                used["service" if ours else "browser"] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return used


def run(visit: Visit, driver: str, seconds: float, service: int) -> dict[str, Any]:
    """Frames a second, delays and processor time of one driver; the first and the last minute, or halves of less."""
    visit.go_live(driver)
    visit.page.wait_for_timeout(3000)
    before = cpu_s(service)
    seen = visit.page.evaluate(WATCH, [seconds, 0])
    after = cpu_s(service)
    fresh = [(at_ms, age) for at_ms, age in seen["drawn"] if age is not None]
    part_ms = min(60.0, seconds / 2) * 1000
    end_ms = seen["startMs"] + seconds * 1000
    found: dict[str, Any] = {
        "seconds": seconds,
        "drawn_fps": round(len(seen["drawn"]) / seconds, 1),
        "fresh_fps": round(len(fresh) / seconds, 1),
        "pose_to_canvas": quantiles([age for _, age in fresh]),
        "first": quantiles([age for at_ms, age in fresh if at_ms < seen["startMs"] + part_ms]),
        "last": quantiles([age for at_ms, age in fresh if at_ms >= end_ms - part_ms]),
        "cpu_ms_per_frame": {
            name: round(1000 * (after[name] - before[name]) / max(1, len(seen["drawn"])), 1) for name in after
        },
        "client_stats": seen["stats"],
    }
    if seen["tracking"]:
        found["tracking"] = {
            name: round(value, 1) if isinstance(value, float) else value for name, value in seen["tracking"].items()
        }
    visit.page.click("#live")
    visit.status("Not live")
    return found


def stall(visit: Visit, stall_ms: int) -> dict[str, Any]:
    """How old the poses of the first frames after a stall of the tab are."""
    visit.go_live("demo")
    visit.page.wait_for_timeout(3000)
    seen = visit.page.evaluate(WATCH, [6, stall_ms])
    after_ms = seen["startMs"] + 2000 + stall_ms
    before = [age for at_ms, age in seen["drawn"] if age is not None and at_ms < seen["startMs"] + 2000]
    ages = [age for at_ms, age in seen["drawn"] if at_ms >= after_ms][:5]
    visit.page.click("#live")
    visit.status("Not live")
    return {
        "stall_ms": stall_ms,
        "before": quantiles(before),
        "ages_after_ms": [None if age is None else round(age, 1) for age in ages],
    }


def camera_film(video: Path | None, folder: Path) -> Path:
    """Motion JPEG for the pretended camera: the painted driver, or a video of yours."""
    return write_film(folder / "driver.mjpeg", driver_frames() if video is None else clip_frames(video))


def table(found: dict[str, Any]) -> str:
    """For people."""
    rows = [("", "drawn/s", "fresh/s", "delay p50", "p95", "first p95", "last p95")]
    for name in ("replayed", "tracked"):
        one = found[name]
        delays = (
            one["pose_to_canvas"]["p50_ms"],
            *(one[part]["p95_ms"] for part in ("pose_to_canvas", "first", "last")),
        )
        rows.append((name, f"{one['drawn_fps']}", f"{one['fresh_fps']}", *(f"{delay:g} ms" for delay in delays)))
    lines = ["  ".join(f"{cell:>10}" for cell in row) for row in rows]
    for name in ("replayed", "tracked"):
        used = found[name]["cpu_ms_per_frame"]
        lines.append(
            f"{name}: {used['service']} ms of processor a drawn frame in the service, {used['browser']} in the browser"
        )
    tracking, after = found["tracked"]["tracking"], found["stall"]
    lines += [
        f"tracking: {tracking['fps']} images/s, {tracking['trackP50Ms']} / {tracking['trackP95Ms']} ms each, on the "
        f"{tracking['delegate']}",
        f"after a stall of {after['stall_ms']} ms the frames show poses {after['ages_after_ms']} ms old "
        f"(before: p95 {after['before']['p95_ms']} ms)",
        f"load of the machine at the start: {found['load']}",
    ]
    return "\n".join(lines)


def measure() -> None:
    """Prints a table, or JSON."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--seconds", type=float, default=120.0, help="length of each of the two runs")
    options.add_argument("--model", default="lite", help="as of `avatar serve`")
    options.add_argument("--size", type=int, default=512, help="width and height of the frames in pixels")
    options.add_argument("--film", type=Path, help="a video of a driver; without it the painted one")
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = options.parse_args()
    found: dict[str, Any] = {"model": chosen.model, "size_px": chosen.size, "cpus": os.cpu_count()}
    found["load"] = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        film = camera_film(chosen.film, Path(folder))
        server = PageServer(("--model", chosen.model, "--size", str(chosen.size), "--slots", "2"))
        camera = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}")
        try:
            server.start()
            with chromium(*camera) as browser:
                page = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["camera"]).new_page()
                visit = Visit(page, server.url)
                found["browser"] = browser.version
                found["replayed"] = run(visit, "demo", chosen.seconds, server.pid)
                found["stall"] = stall(visit, 3000)
                found["tracked"] = run(visit, "tracked", chosen.seconds, server.pid)
        finally:
            server.close()
    print(json.dumps(found, indent=2) if chosen.json else table(found))


if __name__ == "__main__":
    measure()
