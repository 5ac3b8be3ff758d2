"""The page and the files that its tracker loads: static, with headers that let a browser keep what cannot change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = HERE / "page"
"""The page as `make page` builds it."""
TRACKER: Final = HERE / "tracker"
"""MediaPipe's files for tracking in the page; copied by `make`, not in the repository."""
ABSENT: Final = HERE / "page_absent.html"
"""Says how to build the page."""
API: Final = ("/v1/", "/avatar.v1.")
KEPT: Final = "public, max-age=31536000, immutable"
ASKED_FOR: Final = "no-cache"
"""Kept, and asked for again each time: an unchanged file costs one short answer."""


class Rest(Mount):
    """Whatever no other route has, but for the API's own addresses: there a wrong method is to be called one."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Nothing below `API`."""
        ours = str(scope.get("path", "")).startswith(API)
        return (Match.NONE, {}) if ours else super().matches(scope)


class BrowserFiles(StaticFiles):
    """Files of one folder and nothing else; those below `assets/` bear a digest in their name and are kept for good."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """A file, with its cache header."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        unchanging = Path(full_path).parent.name == "assets"
        response.headers["Cache-Control"] = KEPT if unchanging else ASKED_FOR
        return response


async def say_absent(_: Request) -> Response:
    """The page has not been built."""
    return FileResponse(ABSENT, headers={"Cache-Control": "no-store"})


async def not_here(_: Request) -> Response:
    """The tracker's files are absent."""
    raise HTTPException(404, "the tracker's files are not here; `make page` brings them where Node is installed")


def has_tracker(tracker: Path = TRACKER) -> bool:
    """Whether the page can track by itself."""
    return tracker.is_dir() and any(tracker.iterdir())


def routes(page: Path = PAGE, tracker: Path = TRACKER) -> list[BaseRoute]:
    """`/` and `/tracker/`; to be mounted last, for `/` takes whatever is left."""
    files = BrowserFiles(directory=tracker) if has_tracker(tracker) else None
    found: list[BaseRoute] = [Mount("/tracker", files) if files else Route("/tracker/{path:path}", not_here)]
    if (page / "index.html").is_file():
        return [*found, Rest("/", BrowserFiles(directory=page, html=True))]
    return [*found, Route("/", say_absent)]
