"""Which pages may call: our own, and those of sites that were allowed by name.

A browser says with every request from a script whose page it is. Without this check any site that a user visits could
drive the service on the user's own machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from avatar_client.errors import AuthenticationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from avatar_sdk.server.web.answers import error_answer

FORBIDDEN: Final = 403
PORTS: Final = {"http": 80, "https": 443}
LOCAL_NAMES: Final = frozenset({"localhost"})


class OriginCheck:
    """Answers 403 to requests and sockets of pages that are not allowed, before anything else happens.

    With `local`, the server is one that only this machine can reach; then the name it is called by must be this
    machine's, or a site could give its own name our address and pass for our page.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str], local: bool) -> None:
        self._app = app
        self._allowed = {origin.lower() for origin in allowed}
        self._allowed_hosts = {_host(origin) for origin in self._allowed}
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers it."""
        wrong = self._wrong(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else ""
        if wrong:
            await error_answer(AuthenticationError(wrong), FORBIDDEN)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _wrong(self, headers: Headers) -> str:
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        if self._local and host and not self._is_local(host):
            return f"the service is asked for as {host!r} and listens on this machine only; use 127.0.0.1 or localhost"
        if not origin or origin in self._allowed or _is_page_of(origin, host):
            return ""
        return f"pages of {origin!r} may not call this service; start it with --allow-origin {origin}"

    def _is_local(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        if name in LOCAL_NAMES or any(
            _host(f"{scheme}://{host}") in self._allowed_hosts for scheme in ("http", "https")
        ):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _is_page_of(origin: str, host: str) -> bool:
    """Whether a page of `origin` came from `host`, whatever stands between that ends the encryption."""
    scheme = origin.partition("://")[0]
    return scheme in PORTS and bool(host) and _host(origin) == _host(f"{scheme}://{host}")


def _host(origin: str) -> tuple[str, int]:
    """Name and port of an http or https origin; the port is the scheme's own where none is said."""
    try:
        parts = urlsplit(origin)
        return parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):  # no address at all
        return "", -1
