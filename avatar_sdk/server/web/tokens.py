"""Who may call: the holder of the server's key, or of a token that was made with it and lives for a moment.

A page must not know the key. Whoever serves the page asks `POST /v1/tokens` for a token and hands it to one visitor,
who can open one session with it. After that the session's own resume token is enough.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from avatar_client.errors import AuthenticationError, AvatarError, InvalidInputError, ProtocolError

SCOPES: Final = {
    "info": frozenset({"GetServerInfo"}),
    "session": frozenset({"GetServerInfo", "CreateSession"}),
}
"""Scope → calls that it opens."""
ONCE: Final = frozenset({"CreateSession"})
"""Calls that use a token up."""
DEFAULT_TTL_S: Final = 60
MOST_TTL_S: Final = 3600
MOST_TOKEN_CHARACTERS: Final = 1024


class Token(NamedTuple):
    """What a token says.

    Attributes:
        number: tells it from every other.
        expires_at: Unit: seconds since 1970.
        scopes: what it opens.
    """

    number: str
    expires_at: int
    scopes: tuple[str, ...]


def bearer(authorization: str) -> str:
    """The token of an `Authorization` header; "" when it has none."""
    kind, _, token = authorization.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


class Tokens:
    """Makes tokens and checks them. `key` is the server's; "" = everybody may call.

    The secret changes with every process, so a token works where it was made, and never after a restart: this process
    alone remembers which are used up.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._secret = hashlib.sha256(secrets.token_bytes(32) + key.encode()).digest()
        self._clock = clock
        self._used: dict[str, int] = {}

    @property
    def required(self) -> bool:
        """Whether calls need a token."""
        return bool(self._key)

    def check_key(self, authorization: str) -> None:
        """Lets nobody pass but the holder of the server's key.

        Raises:
            ProtocolError: the server has no key, so nobody needs a token.
            AuthenticationError: the key is missing or wrong.
        """
        if not self._key:
            raise ProtocolError("this server was started without --token: calls need no token, and it makes none")
        if not self._is_key(bearer(authorization)):
            raise AuthenticationError(
                "the server's key is missing or wrong; send it as `Authorization: Bearer KEY`, from a server only"
            )

    def mint(self, ttl_s: float = DEFAULT_TTL_S, scopes: Sequence[str] = ("session",)) -> str:
        """A token that lives `ttl_s` seconds.

        Raises:
            InvalidInputError: a scope is unknown, or the time is out of range.
        """
        if not 1 <= ttl_s <= MOST_TTL_S:
            raise InvalidInputError(f"ttl_s is {ttl_s}; it must be in [1, {MOST_TTL_S}]", field="ttl_s")
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise InvalidInputError(f"scopes is {list(scopes)}; it must be some of {sorted(SCOPES)}", field="scopes")
        token = Token(secrets.token_urlsafe(9), int(self._clock() + ttl_s), tuple(scopes))
        said = _packed(json.dumps(token, separators=(",", ":")).encode())
        return f"{said}.{_packed(self._signature(said))}"

    def read(self, token: str) -> Token:
        """What a token says.

        Raises:
            AuthenticationError: it is not from here, or no longer valid.
        """
        said, _, signature = token[:MOST_TOKEN_CHARACTERS].partition(".")
        if not secrets.compare_digest(_packed(self._signature(said)).encode(), signature.encode()):
            raise AuthenticationError(
                "the token is wrong: it is neither the server's key nor a token that this server made since it started"
            )
        number, expires_at, scopes = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        late_s = self._clock() - expires_at
        if late_s >= 0:
            raise AuthenticationError(f"the token has expired {late_s:.0f} s ago; get a new one from POST /v1/tokens")
        return Token(number, expires_at, tuple(scopes))

    @contextmanager
    def admit(self, authorization: str, call: str) -> Iterator[None]:
        """Lets one call pass; a call that fails uses no token up.

        Raises:
            AuthenticationError: the token is missing, wrong, expired, used up, or not for this call.
        """
        given = bearer(authorization)
        if not self._key or self._is_key(given):
            yield
            return
        if not given:
            raise AuthenticationError(
                "the token is missing; send `Authorization: Bearer` with one from POST /v1/tokens, or the server's key"
            )
        token = self.read(given)
        if not any(call in SCOPES[scope] for scope in token.scopes):
            raise AuthenticationError(
                f"the token is for {', '.join(token.scopes)} only, which does not include {call}; get another one"
            )
        if call not in ONCE:
            yield
            return
        self._forget_expired()
        if token.number in self._used:
            raise AuthenticationError(
                "the token has been used: it opens one session; get a new one from POST /v1/tokens"
            )
        self._used[token.number] = token.expires_at
        try:
            yield
        except AvatarError:
            self._used.pop(token.number, None)
            raise

    def _forget_expired(self) -> None:
        now = self._clock()
        self._used = {number: until for number, until in self._used.items() if until > now}

    def _is_key(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._key.encode())

    def _signature(self, said: str) -> bytes:
        return hmac.digest(self._secret, said.encode(), "sha256")


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
