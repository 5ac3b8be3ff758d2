"""The page before a real person's film; the painted driver's is in `test_browser_camera`."""

from __future__ import annotations

from pathlib import Path

from browser import PageServer, Visit, chromium
from films import clip_frames, write_film
from mouths import check_mouth, needs_tracker


def test_a_real_drivers_mouth_moves_the_avatars_too(media: Path, page_server: PageServer, tmp_path: Path) -> None:
    needs_tracker()
    clip = write_film(tmp_path / "clip.mjpeg", clip_frames(media / "driving/dv3_strong_expressions.mp4"))
    with chromium("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}") as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["camera"]).new_page()
        visit = Visit(page, page_server.url)
        visit.go_live("tracked")
        check_mouth(visit)
        visit.shoot("live-clip")
        visit.leave()
