"""The web port as one ASGI application."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from avatar_sdk.server.web import info, page, stream, unary
from avatar_sdk.server.web.headers import SecurityHeaders
from avatar_sdk.server.web.origins import OriginCheck, own_names
from avatar_sdk.server.web.service import WebService

METHODS: Final = ("GET", "POST", "DELETE", "PATCH")
ASKED_HEADERS: Final = ("Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms")
TOLD_HEADERS: Final = ("Location", "Link", "Retry-After", "WWW-Authenticate")


def make_app(service: WebService) -> Starlette:
    """The application. A part with routes of its own adds them before those of the page, which take what is left."""
    config = service.calls.config
    names = None if config.token else own_names(config.host)
    routes: list[BaseRoute] = [
        *unary.routes(service),
        *stream.routes(service),
        *info.routes(service),
        *page.routes(),
    ]
    middleware = [
        Middleware(SecurityHeaders),
        Middleware(OriginCheck, allowed=config.allowed_origins, names=names),
        Middleware(
            CORSMiddleware,
            allow_origins=config.allowed_origins,
            allow_methods=METHODS,
            allow_headers=ASKED_HEADERS,
            expose_headers=TOLD_HEADERS,
            allow_private_network=True,
        ),
    ]
    return Starlette(routes=routes, middleware=middleware)
