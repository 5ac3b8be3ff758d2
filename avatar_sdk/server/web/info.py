"""What a page asks before it begins, and tokens for its visitors."""

from __future__ import annotations

import json
from typing import Any, Final

from avatar_client._version import __version__
from avatar_client.errors import InvalidInputError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from avatar_sdk.server.web.answers import read_body, typed
from avatar_sdk.server.web.page import has_tracker
from avatar_sdk.server.web.service import WebService
from avatar_sdk.server.web.tokens import DEFAULT_TTL_S

NO_STORE: Final = {"Cache-Control": "no-store"}
MOST_BODY_BYTES: Final = 4096


class Desk:
    """Answers `GET /v1/info` and `POST /v1/tokens`."""

    def __init__(self, service: WebService) -> None:
        self._service = service
        self._limits = service.calls.config.web_limits
        self._tracker = has_tracker()

    async def info(self, _: Request) -> Response:
        """What this server offers a page."""
        calls = self._service.calls
        said: dict[str, Any] = {
            "version": __version__,
            "model": calls.sessions.engine.runtime.name,
            "tracker_assets": self._tracker,
            "server_tracking": calls.config.tracks,
            "virtual_camera": False,
            "whep": False,
            "requires_token": self._service.tokens.required,
        }
        return JSONResponse(said | self._service.features, headers=NO_STORE)

    async def mint(self, request: Request) -> Response:
        """A token for a visitor, for whoever holds the server's key.

        Raises:
            AvatarError: as `Tokens.mint`.
            InvalidInputError: the body is not the JSON it must be.
        """
        tokens, authorization = self._service.tokens, request.headers.get("authorization", "")
        tokens.check_key(authorization)
        body = await read_body(request, MOST_BODY_BYTES, self._limits.body_timeout_s)
        try:
            asked = json.loads(body or b"{}")
            ttl_s, scopes = asked.get("ttl_s", DEFAULT_TTL_S), asked.get("scopes", ["session"])
        except (ValueError, AttributeError) as error:
            raise InvalidInputError(
                'the body is not JSON like {"ttl_s": 60, "scopes": ["session"]}', field="message"
            ) from error
        words = isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes)
        if not isinstance(ttl_s, int | float) or not words:
            raise InvalidInputError("ttl_s must be a number and scopes a list of words", field="message")
        token = tokens.mint(ttl_s, scopes)
        said = {"token": token, "expires_at": tokens.read(token).expires_at, "scopes": scopes}
        return JSONResponse(said, headers=NO_STORE)


def routes(service: WebService) -> list[BaseRoute]:
    """`/v1/info` and `/v1/tokens`."""
    desk = Desk(service)
    metrics = service.calls.metrics
    return [
        Route("/v1/info", typed(metrics, desk.info), methods=["GET"]),
        Route("/v1/tokens", typed(metrics, desk.mint), methods=["POST"]),
    ]
