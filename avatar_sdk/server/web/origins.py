"""Which pages may call: our own, and those of sites that were allowed by name.

A browser says with every request from a script whose page it is. Without this check any site that a user visits could
drive the service on the user's own machine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from avatar_client.errors import AuthenticationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from avatar_sdk.server.web.answers import error_answer

FORBIDDEN: Final = 403
PORTS: Final = {"http": 80, "https": 443}


class OriginCheck:
    """Answers 403 to requests and sockets of pages that are not allowed, before anything else happens.

    With `names`, the server may be called by an address, by one of these names, or by that of an allowed site, and by
    no other: a site could give its own name our address, and its page would pass for ours. None = by any name, which
    is for servers that ask for a token.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str], names: Collection[str] | None) -> None:
        self._app = app
        self._allowed = {origin.lower() for origin in allowed}
        self._names = None if names is None else {*names, *(_host(origin)[0] for origin in self._allowed)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers it."""
        wrong = self._wrong(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else ""
        if wrong:
            await error_answer(AuthenticationError(wrong), FORBIDDEN)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _wrong(self, headers: Headers) -> str:
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        if host and not self._is_ours(host):
            return (
                f"this service does not go by the name of {host!r}; call it by its address, by localhost on its own "
                f"machine, or start it with --allow-origin http://{host}"
            )
        if not origin or origin in self._allowed or _is_page_of(origin, host):
            return ""
        return f"pages of {origin!r} may not call this service; start it with --allow-origin {origin}"

    def _is_ours(self, host: str) -> bool:
        name = _host(f"http://{host}")[0]
        if self._names is None or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def own_names(host: str) -> set[str]:
    """What a server that listens on `host` may be called."""
    machine = socket.gethostname().lower()
    return {"localhost", host.lower(), machine, f"{machine.partition('.')[0]}.local"}


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
