"""What `make demo` runs: the service, a client, the sample portrait and poses, a video of what came back, the page."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

import avatar_client
import numpy as np
from avatar_client import Frame, MotionSource
from avatar_client.errors import AvatarError
from avatar_client.pose_file import PoseReader
from typer import echo

from avatar_sdk.local_server import LocalServer, LocalServerConfig, free_port
from avatar_sdk.pose_feed import SAMPLE_PORTRAIT, SAMPLE_POSES, PoseFeed
from avatar_sdk.progress import progress
from avatar_sdk.sheet import ContactSheet
from avatar_sdk.video import VideoConfig, VideoWriter

OUTPUT: Final = Path("out")
FPS: Final = 24
WEB_PORT: Final = 8080
"""Of the page, if nobody else has it."""
SLOTS: Final = 2
"""The demo's own session, and one in the page."""
FRAME_TIMEOUT_S: Final = 20.0
TAIL_S: Final = 0.5
"""How long after the last pose frames may still come."""


def run_demo(output: Path = OUTPUT, driver: Path = SAMPLE_POSES, model: str = "lite") -> None:
    """Streams recorded poses through a service of its own and writes `avatar.mp4` and `avatar.png` into a folder.

    On a terminal the service then goes on with its page until Ctrl-C.

    Raises:
        AvatarError: the service cannot be started, or the stream breaks.
    """
    output.mkdir(parents=True, exist_ok=True)
    video_path, sheet_path = output / "avatar.mp4", output / "avatar.png"
    poses = PoseReader(driver)
    echo("starting the service …")
    started_s = time.monotonic()
    with LocalServer(LocalServerConfig(model, SLOTS, web_port=free_port(WEB_PORT))) as server:
        frames = _stream(server, poses, started_s)
        _write(frames, video_path, sheet_path)
        echo(f"wrote {video_path} and {sheet_path}")
        if sys.stdout.isatty():
            echo(f"your own avatar, in the browser: {server.page} (Ctrl-C ends the service)")
            with contextlib.suppress(KeyboardInterrupt):
                server.wait()
        else:
            echo(f"your own avatar, in the browser: `avatar serve`, then http://127.0.0.1:{WEB_PORT}/")


def _stream(server: LocalServer, poses: PoseReader, started_s: float) -> deque[Frame]:
    """The generated frames; tells how they came."""
    with avatar_client.connect(server.target) as client:
        info = client.info()
        echo(
            f"service {info.version} on {server.target}, model {info.model}, up in {time.monotonic() - started_s:.1f} s"
        )
        echo(f"page on {server.page}")
        frames: deque[Frame] = deque()
        with client.session(SAMPLE_PORTRAIT, consent=True) as session, progress("streaming", len(poses)) as on_pose:
            with PoseFeed(session.send_pose, iter(poses), poses.info.fps) as feed:
                end_s = None
                while end_s is None or time.monotonic() < end_s:
                    frame = session.next_frame(FRAME_TIMEOUT_S)
                    if frame is not None and frame.source is MotionSource.POSE:
                        frames.append(frame)
                    on_pose(feed.sent)
                    if feed.finished and end_s is None:
                        end_s = time.monotonic() + TAIL_S
            dropped = {cause: count for cause, count in session.statistics.dropped.items() if count}
    seconds = (frames[-1].received_us - frames[0].received_us) / 1e6
    echo(f"{len(frames)} generated frames in {seconds:.1f} s: {(len(frames) - 1) / seconds:.1f} fps")
    server_ms = np.percentile([frame.timings.pose_to_frame_us for frame in frames], (50, 95)) / 1000
    whole_ms = np.percentile([frame.received_us - frame.pose_timestamp_us for frame in frames], (50, 95)) / 1000
    echo(f"pose → frame in the server  p50 {server_ms[0]:.0f} ms, p95 {server_ms[1]:.0f} ms")
    echo(f"pose → frame at the client  p50 {whole_ms[0]:.0f} ms, p95 {whole_ms[1]:.0f} ms")
    echo(f"dropped: {', '.join(f'{cause} {count}' for cause, count in dropped.items()) or 'nothing'}")
    return frames


def _write(frames: deque[Frame], video_path: Path, sheet_path: Path) -> None:
    """The frames on an even grid of 24 a second, as they stood on the screen; empties `frames`, to free them."""
    sheet = ContactSheet()
    start_us, count = frames[0].received_us, len(frames)
    shown = 0
    with VideoWriter(video_path, VideoConfig(fps=FPS)) as video, progress("writing", count) as on_frame:
        while frames:
            image = frames.popleft().image
            sheet.add(image)
            until = round((frames[0].received_us - start_us) / 1e6 * FPS) if frames else shown + 1
            for k in range(shown, until):
                video.write(image, round(k * 1e6 / FPS))
            shown = max(shown, until)
            on_frame(count - len(frames))
    sheet.save(sheet_path)


if __name__ == "__main__":
    try:
        run_demo()
    except AvatarError as error:
        sys.exit(f"demo: {error.message} [{type(error).__name__}]")
