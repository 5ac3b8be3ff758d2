"""The page with a camera: a real Chromium whose camera plays a film, tracking in the page or on the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import PageServer, Visit, chromium
from mouths import check_mouth, needs_tracker

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route


@pytest.fixture(scope="module")
def browser(page_server: PageServer, film: Path) -> Iterator[Browser]:
    with chromium("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}") as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, page_server: PageServer) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["camera"])
    opened = Visit(context.new_page(), page_server.url)
    yield opened
    opened.leave()


def test_the_avatars_mouth_opens_when_the_drivers_does(visit: Visit) -> None:
    needs_tracker()
    visit.go_live("tracked")
    check_mouth(visit)
    visit.shoot("live-camera")


def test_a_lost_face_is_said_and_the_avatar_follows_again(visit: Visit) -> None:
    needs_tracker()
    visit.go_live("tracked")
    visit.status("No face in view")
    visit.shoot("face-lost")
    visit.status("Live")


def test_an_unplugged_camera_is_explained_and_the_demo_drive_takes_over(visit: Visit) -> None:
    needs_tracker()
    visit.go_live("tracked")
    visit.page.evaluate(
        "() => document.querySelector('#self-view video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"
    )
    assert "unplugged" in visit.notice("No picture of you")
    visit.shoot("unplugged")
    visit.page.click("#notice-actions button >> text=Use the demo drive")
    visit.page.locator("#self-caption", has_text="Demo drive").wait_for()
    visit.status("Live")


def test_a_denied_camera_is_explained(browser: Browser, page_server: PageServer) -> None:
    needs_tracker()
    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=[])
    visit = Visit(context.new_page(), page_server.url)
    visit.choose("tracked")
    visit.page.click("#live")
    assert "permission was denied" in visit.notice("No picture of you")
    visit.status("Not live")
    visit.shoot("denied")
    visit.page.click("#notice-actions button >> text=Use the demo drive")
    visit.status("Live")
    visit.leave()


def test_without_the_trackers_files_the_server_tracks(browser: Browser, page_server: PageServer) -> None:
    def without_tracker(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "tracker_assets": False})

    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["camera"])
    page = context.new_page()
    page.route("**/v1/info", without_tracker)
    visit = Visit(page, page_server.url)
    assert visit.page.locator('#driver option[value^="tracked"]').count() == 0
    assert "not installed" in visit.page.inner_text("#driver-hint")
    visit.shoot("server-tracking-offered")
    visit.go_live("server")
    assert "sent to the server" in visit.page.inner_text("#driver-hint")
    before = visit.picture()
    time.sleep(2)
    assert np.abs(before.astype(int) - visit.picture()).mean() > 0.3
    visit.shoot("server-tracking")
    visit.leave()


def test_files_that_are_promised_and_missing_lead_to_tracking_by_the_server(visit: Visit) -> None:
    needs_tracker()
    visit.page.route("**/tracker/**", lambda route: route.fulfill(status=404, body="gone"))
    visit.choose("tracked")
    visit.page.click("#live")
    assert "@mediapipe/face_mesh" in visit.notice("The tracker cannot run here")
    visit.shoot("tracker-missing")
    visit.page.click("#notice-actions button >> text=Let the server track")
    visit.status("Live")
