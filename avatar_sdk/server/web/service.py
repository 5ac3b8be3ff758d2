"""What the routes of the web port share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from avatar_sdk.server.calls import Calls
from avatar_sdk.server.web.tokens import Tokens, bearer
from avatar_sdk.session import Entry


@dataclass(eq=False)
class WebService:
    """The calls behind the routes, and what parts beside them add.

    Attributes:
        calls: the service without a transport.
        tokens: who may call.
        features: what the page is told of in `/v1/info` beside what is always there, e.g. `{"whep": True}`.
        on_drain: called when the server begins to shut down and streams are asked to leave.
        on_stop: awaited in turn when the port closes, after the streams have ended.
    """

    calls: Calls
    tokens: Tokens
    features: dict[str, bool] = field(default_factory=dict)
    on_drain: list[Callable[[], None]] = field(default_factory=list)
    on_stop: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def session(self, session_id: str, authorization: str) -> Entry:
        """The session of a route that has its id in the path, for `Authorization: Bearer <its resume token>`.

        Raises:
            SessionNotFoundError: there is none.
            AuthenticationError: the token is not its own.
        """
        return self.calls.sessions.get(session_id, bearer(authorization))
