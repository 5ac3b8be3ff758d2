"""OBS's audio sync offset follows the avatar."""

from __future__ import annotations

import socket

import pytest
from avatar_client.errors import (
    AuthenticationError,
    AvatarError,
    ConnectionLostError,
    InvalidConfigError,
    TimeoutExceededError,
)

pytest.importorskip("simpleobsws", reason="needs the extra [virtualcam]")

from obs_peer import ObsPeer, obs

from avatar_sdk.virtual_camera import ObsConfig, ObsSync
from avatar_sdk.virtual_camera import obs as module


def sync(peer: ObsPeer, source: str = "Mic/Aux", password: str = "") -> ObsSync:
    return ObsSync(ObsConfig(source, "127.0.0.1", peer.port, password))


def test_a_source_follows_the_delay_and_gets_its_own_offset_back() -> None:
    with obs("secret") as peer:
        follower = sync(peer, "Desktop Audio", "secret")
        follower.follow(123.4)
        follower.close()
        assert peer.set_ms == [123, 20]


def test_small_and_hasty_changes_are_not_told() -> None:
    with obs() as peer:
        follower = sync(peer)
        for delay_ms in (5.0, 120.0, 300.0, 305.0):
            follower.follow(delay_ms)
        follower.close()
        assert peer.set_ms == [120, 0]


def test_an_offset_stays_within_what_obs_takes() -> None:
    with obs() as peer:
        follower = sync(peer)
        follower.set(99_999)
        follower.set(-99_999)
        assert peer.set_ms == [20_000, -950]


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_named_at_once(password: str) -> None:
    with obs("secret") as peer, pytest.raises(AuthenticationError, match="refuses the password"):
        sync(peer, password=password)


def test_an_unknown_source_is_named() -> None:
    with obs() as peer, pytest.raises(InvalidConfigError, match="'Microphone'"):
        sync(peer, "Microphone")


def test_an_obs_that_is_not_there_is_named_with_the_way_out() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionLostError, match="WebSocket Server Settings"):
            ObsSync(ObsConfig("Mic/Aux", "127.0.0.1", free.getsockname()[1]))


def test_an_obs_that_falls_silent_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    with obs() as peer:
        follower = sync(peer)
        peer.silent = True
        follower.follow(200.0)
        assert follower._thread is not None
        follower._thread.join()
        assert isinstance(follower.error, TimeoutExceededError)
        with pytest.raises(AvatarError):
            sync(peer)
