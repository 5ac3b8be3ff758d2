"""Who may call over the web: the key, tokens made with it, and their end."""

from __future__ import annotations

import pytest
from avatar_client.errors import AuthenticationError, InvalidInputError, InvalidPortraitError, ProtocolError
from web_service import web_serving

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server.web.tokens import Tokens

KEY = {"Authorization": "Bearer the key"}


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_token_says_what_it_is_for_and_until_when() -> None:
    tokens = Tokens("the key", Clock())
    token = tokens.read(tokens.mint(60, ["info", "session"]))
    assert (token.expires_at, token.scopes) == (1060, ("info", "session"))
    assert tokens.read(tokens.mint(60)).number != token.number


def test_a_token_opens_one_session_and_no_second() -> None:
    tokens = Tokens("the key", Clock())
    header = f"Bearer {tokens.mint(60)}"
    for _ in range(3):
        with tokens.admit(header, "GetServerInfo"):
            pass
    with tokens.admit(header, "CreateSession"):
        pass
    with pytest.raises(AuthenticationError, match="has been used"), tokens.admit(header, "CreateSession"):
        pass
    with tokens.admit(header, "GetServerInfo"):
        pass


def test_a_call_that_failed_uses_no_token_up_and_two_at_once_do_not_share_one() -> None:
    tokens = Tokens("the key", Clock())
    header = f"Bearer {tokens.mint(60)}"
    with pytest.raises(InvalidPortraitError), tokens.admit(header, "CreateSession"):
        raise InvalidPortraitError("no")
    with (
        tokens.admit(header, "CreateSession"),
        pytest.raises(AuthenticationError, match="has been used"),
        tokens.admit(header, "CreateSession"),
    ):
        pass


def test_a_token_expires_and_says_so_and_what_was_used_is_forgotten_then() -> None:
    clock = Clock()
    tokens = Tokens("the key", clock)
    header = f"Bearer {tokens.mint(60)}"
    with tokens.admit(header, "CreateSession"):
        pass
    clock.now_s += 75
    with pytest.raises(AuthenticationError, match="expired 15 s ago"), tokens.admit(header, "GetServerInfo"):
        pass
    with tokens.admit(f"Bearer {tokens.mint(60)}", "CreateSession"):
        pass
    assert len(tokens._used) == 1


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("", "token is missing"),
        ("Basic dXNlcg==", "token is missing"),
        ("Bearer nonsense", "token is wrong"),
        ("Bearer a.b", "token is wrong"),
        ("Bearer the key ", None),
        ("bearer the key", None),
        ("Bearer ключ", "token is wrong"),
    ],
)
def test_only_the_key_or_a_token_of_this_server_passes(header: str, match: str | None) -> None:
    tokens = Tokens("the key", Clock())
    if match is None:
        with tokens.admit(header, "CreateSession"):
            pass
    else:
        with pytest.raises(AuthenticationError, match=match), tokens.admit(header, "CreateSession"):
            pass


def test_a_changed_token_or_one_of_another_process_is_wrong() -> None:
    tokens = Tokens("the key", Clock())
    said, _, signature = tokens.mint(60).partition(".")
    forged = Tokens("the key", Clock()).mint(3600)
    for token in (f"{said[:-2]}AA.{signature}", f"{said}.{signature[:-2]}AA", forged, said):
        with pytest.raises(AuthenticationError, match="token is wrong"):
            tokens.read(token)


def test_a_token_for_information_opens_no_session() -> None:
    tokens = Tokens("the key", Clock())
    header = f"Bearer {tokens.mint(60, ['info'])}"
    with tokens.admit(header, "GetServerInfo"):
        pass
    with pytest.raises(AuthenticationError, match="for info only"), tokens.admit(header, "CreateSession"):
        pass


@pytest.mark.parametrize(
    ("ttl_s", "scopes", "field"),
    [(0, ["session"], "ttl_s"), (1e9, ["session"], "ttl_s"), (60, [], "scopes"), (60, ["root"], "scopes")],
)
def test_what_cannot_be_made_is_named(ttl_s: float, scopes: list[str], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Tokens("the key").mint(ttl_s, scopes)
    assert caught.value.field == field


def test_a_server_without_a_key_lets_everybody_pass_and_makes_no_tokens() -> None:
    tokens = Tokens("")
    with tokens.admit("", "CreateSession"):
        pass
    with pytest.raises(ProtocolError, match="without --token"):
        tokens.check_key("")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=2))


async def test_a_visitor_opens_one_session_with_a_token_and_goes_on_with_the_sessions_own(engine: Engine) -> None:
    async with web_serving(engine, token="the key") as (_, client):
        with pytest.raises(AuthenticationError, match="missing"):
            await client.create()
        answer = await client.http.post("/v1/tokens", json={"ttl_s": 30, "scopes": ["session"]}, headers=KEY)
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()["token"]
        assert answer.json()["scopes"] == ["session"]
        with pytest.raises(InvalidPortraitError):
            await client.create(token=token, portrait=b"no")
        created = await client.create(token=token)
        assert (await client.call("GetServerInfo", token=token)).free_sessions == 1
        with pytest.raises(AuthenticationError, match="has been used"):
            await client.create(token=token)
        await client.open(created)
        keys = {"session_id": created.session_id, "resume_token": created.resume_token}
        await client.call("UpdateSession", **keys)
        await client.call("DeleteSession", **keys)
        assert (await client.create(token="the key")).session_id


async def test_only_the_key_makes_tokens(engine: Engine) -> None:
    async with web_serving(engine, token="the key") as (_, client):
        made = (await client.http.post("/v1/tokens", headers=KEY)).json()["token"]
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": f"Bearer {made}"}):
            answer = await client.http.post("/v1/tokens", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        for body in (b"no json", b"[]", b'{"ttl_s": "long"}', b'{"ttl_s": 60, "scopes": [[]]}', b'{"ttl_s": NaN}'):
            answer = await client.http.post("/v1/tokens", content=body, headers=KEY)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument"), body
    async with web_serving(engine) as (_, client):
        answer = await client.http.post("/v1/tokens")
        assert (answer.status_code, answer.json()["code"]) == (400, "failed_precondition")
