"""The page in a real Chromium before the real service, without a camera."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import avatar_client
import numpy as np
import pytest
from browser import PATIENCE_MS, PageServer, Visit, chromium
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route


@pytest.fixture(scope="module")
def browser(page_server: PageServer) -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, page_server: PageServer) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = Visit(context.new_page(), page_server.url)
    yield opened
    opened.leave()


UNREADABLE = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const scale = color.startsWith("color(") ? 1 : 255;
    const [r, g, b] = parts(color.replace("color(srgb", "")).map((value) => value / scale);
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const opaque = (color) => !(color === "transparent" || / 0\\)$/.test(color) || parts(color)[3] === 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (opaque(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest(".screen, :disabled, option, svg")) continue;
    const [one, other] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) bad.push(`${node.tagName} ${node.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return bad;
}"""
"""Texts whose contrast (WCAG 2, 1.4.3) is below 4.5; those that lie on pictures have a plate of their own."""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, canvas, summary, dialog")]
  .filter((node) => !(node.labels?.length || node.ariaLabel || node.textContent.trim() ||
    node.getAttribute("aria-labelledby") || node.title))
  .map((node) => node.outerHTML.slice(0, 80))"""


def second_portrait(portrait: Path) -> bytes:
    """The sample portrait in other colours."""
    out = io.BytesIO()
    red, green, blue = Image.open(portrait).convert("RGB").resize((384, 384)).split()
    Image.merge("RGB", (blue, red, green)).save(out, "PNG")
    return out.getvalue()


def test_it_goes_live_with_the_demo_drive_and_asks_nobody_else_for_anything(
    visit: Visit, page_server: PageServer
) -> None:
    visit.shoot("start")
    visit.go_live()
    before = visit.picture()
    time.sleep(1.5)
    after = visit.picture()
    assert before.std() > 20
    assert np.abs(before.astype(int) - after).mean() > 0.3
    visit.page.locator("#statistics dd").first.wait_for()
    assert visit.stats()["framesShown"] > 0
    visit.shoot("live-demo")
    assert not visit.faults()
    assert {url for url in visit.asked if not url.startswith((page_server.url, "blob:", "data:"))} == set()


def test_keys_calibrate_mirror_pause_and_help(visit: Visit) -> None:
    visit.go_live()
    visit.page.keyboard.press("c")
    visit.toast("Calibrated")
    visit.shoot("calibrated")
    visit.page.keyboard.press("m")
    assert visit.page.get_attribute("#mirror", "aria-pressed") == "false"
    visit.page.evaluate("() => document.activeElement.blur()")
    visit.page.keyboard.press(" ")
    visit.status("Paused")
    visit.shoot("paused")
    time.sleep(0.5)  # what was under way arrives
    still = visit.picture()
    time.sleep(0.5)
    assert (still == visit.picture()).all()
    visit.page.keyboard.press(" ")
    visit.status("Live")
    visit.page.keyboard.press("?")
    visit.page.locator("dialog[open]").wait_for()
    visit.shoot("help")
    visit.page.keyboard.press("Escape")
    visit.page.locator("dialog[open]").wait_for(state="detached")


def test_a_portrait_needs_consent_and_the_next_one_takes_over(visit: Visit, sample_portrait: Path) -> None:
    visit.go_live()
    before = visit.picture()
    visit.add_portrait("blue.png", second_portrait(sample_portrait))
    visit.toast("Say first that the person shown agreed")
    visit.page.check("#consent")
    visit.toast("The portrait was changed")
    time.sleep(0.5)
    assert np.abs(before.astype(int) - visit.picture()).mean() > 10
    visit.shoot("second-portrait")
    visit.page.keyboard.press("n")
    assert visit.page.get_attribute("#shelf button >> nth=0", "aria-checked") == "true"


def test_a_photo_without_a_face_is_explained(visit: Visit) -> None:
    out = io.BytesIO()
    Image.new("RGB", (300, 300), (90, 120, 60)).save(out, "PNG")
    visit.add_portrait("wall.png", out.getvalue())
    assert visit.page.is_disabled("#live")
    visit.page.check("#consent")
    visit.choose("demo")
    visit.page.click("#live")
    assert "face" in visit.notice("This portrait does not work")
    visit.status("Not live")
    visit.shoot("bad-portrait")


def test_a_full_server_is_explained_and_can_be_tried_again(
    visit: Visit, page_server: PageServer, sample_portrait: Path
) -> None:
    with ExitStack() as taken:
        client = taken.enter_context(avatar_client.connect(page_server.target))
        while client.info().free_sessions:
            taken.enter_context(client.session(sample_portrait, consent=True))
        visit.choose("demo")
        visit.page.click("#live")
        assert "slots" in visit.notice("Every avatar here is taken")
        visit.shoot("full")
    visit.page.click("#notice-actions button >> text=Try again")
    visit.status("Live")


def test_it_survives_a_restart_of_the_server(visit: Visit, page_server: PageServer) -> None:
    visit.go_live()
    page_server.stop()
    visit.status("Reconnecting")
    visit.shoot("reconnecting")
    page_server.start()
    visit.status("Live")
    shown = visit.stats()["framesShown"]
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while visit.stats()["framesShown"] <= shown:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    visit.shoot("restarted")


def test_a_server_that_is_gone_is_said_and_found_again(browser: Browser, page_server: PageServer) -> None:
    page = browser.new_context().new_page()
    page.route("**/v1/info", lambda route: route.abort())
    page.goto(page_server.url)
    page.locator("#notice-title", has_text="The server is gone").wait_for()
    page.unroute("**/v1/info")
    page.locator("#notice").wait_for(state="hidden")
    page.locator("#driver option").first.wait_for(state="attached")
    page.context.close()


def test_a_missing_token_is_asked_for(visit: Visit) -> None:
    refused = '{"code":"unauthenticated","message":"the token is missing; pass it","details":[]}'
    visit.page.route(
        "**/avatar.v1.AvatarService/CreateSession",
        lambda route: route.fulfill(status=401, content_type="application/json", body=refused),
    )
    visit.choose("demo")
    visit.page.click("#live")
    visit.notice("This server needs a token")
    visit.page.click("#notice-actions button >> text=Enter a token")
    assert visit.page.evaluate("() => document.activeElement.id") == "token"
    visit.shoot("token")


def test_a_colour_behind_the_person_starts_the_avatar_anew(visit: Visit) -> None:
    visit.go_live()
    visit.page.click("#background-panel summary")
    visit.page.locator("#background span", has_text="Colour").click()
    visit.page.fill("#background-color", "#2060c0")
    visit.page.dispatch_event("#background-color", "change")
    visit.status("Live")
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while np.abs(visit.picture()[4, 4].astype(int) - (0x20, 0x60, 0xC0)).max() > 24:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    visit.shoot("background")


def test_sliders_change_how_the_avatar_moves(visit: Visit) -> None:
    visit.go_live()
    visit.page.click("#motion-panel summary")
    for name in ("head", "eyes", "brows", "mouth", "translation"):
        visit.page.fill(f'#motion input[name="{name}"]', "0")
    assert visit.page.inner_text("#motion output >> nth=0") == "0.00"
    time.sleep(1.5)
    one = visit.picture()
    time.sleep(1.0)
    assert np.abs(one.astype(int) - visit.picture()).mean() < 0.3
    visit.shoot("motion")


def test_a_recording_becomes_a_file_that_plays(visit: Visit, tmp_path: Path) -> None:
    visit.go_live()
    visit.page.click("#record")
    time.sleep(2.5)
    visit.shoot("recording")
    with visit.page.expect_download() as download:
        visit.page.click("#record")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) > 5
    assert frames[-1].std() > 20


def test_the_clean_window_shows_the_avatar_and_nothing_else(visit: Visit) -> None:
    visit.go_live()
    with visit.page.expect_popup() as popup:
        visit.page.click("#popout")
    clean = popup.value
    clean.locator("video").wait_for()
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not clean.evaluate("() => document.querySelector('video').videoWidth"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert clean.evaluate("() => document.body.children.length") == 1
    visit.page.click("#live")
    visit.status("Not live")


def test_a_dropped_photo_is_taken_and_anything_else_is_refused(visit: Visit) -> None:
    drop = """([name, type]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["x"], name, { type }));
      document.dispatchEvent(new DragEvent("dragover", { dataTransfer: transfer, cancelable: true }));
      const shown = !document.getElementById("drop").hidden;
      document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
      return shown && document.getElementById("drop").hidden;
    }"""
    assert visit.page.evaluate(drop, ["me.webp", "image/webp"])
    assert visit.page.locator("#shelf button").count() == 2
    assert visit.page.is_disabled("#live")
    visit.page.evaluate(drop, ["notes.txt", "text/plain"])
    assert "notes.txt is no JPEG, PNG or WebP" in visit.notice("That is no portrait")
    assert visit.page.locator("#shelf button").count() == 2


def test_a_virtual_camera_is_offered_where_the_server_has_one(browser: Browser, page_server: PageServer) -> None:
    asked: list[tuple[str, str]] = []

    def with_camera(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "virtual_camera": True})

    def switch(route: Route) -> None:
        asked.append((route.request.method, route.request.headers["authorization"].partition(" ")[0]))
        route.fulfill(status=204)

    page = browser.new_context().new_page()
    page.route("**/v1/info", with_camera)
    page.route("**/v1/sessions/*/virtual-camera", switch)
    visit = Visit(page, page_server.url)
    visit.go_live()
    visit.page.click("#virtual")
    visit.toast("The virtual camera shows the avatar")
    visit.page.click("#virtual")
    visit.toast("The virtual camera is off")
    assert asked == [("POST", "Bearer"), ("DELETE", "Bearer")]
    visit.leave()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(
    browser: Browser, page_server: PageServer, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1400}, color_scheme=scheme)
    visit = Visit(context.new_page(), page_server.url)
    visit.page.evaluate("() => { for (const panel of document.querySelectorAll('details')) panel.open = true; }")
    visit.go_live()
    visit.page.locator("#quality").wait_for()
    assert visit.page.evaluate(UNREADABLE) == []
    assert visit.page.evaluate(NAMELESS) == []
    visit.shoot(f"live-{scheme}")
    visit.leave()


def test_it_fits_a_phone(browser: Browser, page_server: PageServer) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    visit = Visit(context.new_page(), page_server.url)
    visit.shoot("phone-start")
    visit.go_live()
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    stop = visit.page.locator("#live").bounding_box()
    assert stop is not None
    assert stop["y"] + stop["height"] < 844
    assert stop["height"] >= 44
    visit.shoot("phone-live")
    visit.leave()
