"""The page's way to a virtual camera."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from avatar_client.errors import (
    AuthenticationError,
    CameraError,
    InvalidConfigError,
    InvalidInputError,
    ProtocolError,
    SessionNotFoundError,
)
from service import SIZE_PX, eventually
from web_service import WebClient, restored, web_serving

pytest.importorskip("pyvirtualcam", reason="needs the extra [virtualcam]")

from loopback_camera import LoopbackCamera, loopback

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server.web import virtual_camera
from avatar_sdk.session import CloseReason

__all__ = ["loopback"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


async def ask(client: WebClient, created: Any, method: str, body: Any = None, token: str = "") -> httpx.Response:
    path = f"/v1/sessions/{created.session_id}/virtual-camera"
    headers = {"Authorization": f"Bearer {token or created.resume_token}"}
    return await client.http.request(method, path, json=body, headers=headers)


async def test_a_session_becomes_a_camera_that_says_how_late_it_is(
    engine: Engine, loopback: list[LoopbackCamera]
) -> None:
    async with web_serving(engine) as (_, client):
        created = await client.create()
        stream = await client.open(created)
        driver = asyncio.create_task(stream.send_poses(10_000, 0.04))
        started = await ask(client, created, "POST", {"device": "loop3"})
        assert (started.status_code, started.json()["device"]) == (201, "loop3")
        await eventually(lambda: len(loopback[0].frames) > 10)
        said = (await ask(client, created, "GET")).json()
        assert said["running"]
        assert said["delay_ms"] > 40
        again = restored(await ask(client, created, "POST"))
        assert isinstance(again, ProtocolError)
        assert (await ask(client, created, "DELETE")).json()["running"] is False
        assert isinstance(restored(await ask(client, created, "GET")), SessionNotFoundError)
        driver.cancel()
        await asyncio.wait([driver])
    assert loopback[0].closed
    assert loopback[0].frames[0].shape == (SIZE_PX, SIZE_PX, 3)


async def test_the_device_is_freed_with_the_session(engine: Engine, loopback: list[LoopbackCamera]) -> None:
    async with web_serving(engine) as (server, client):
        created = await client.create()
        assert (await ask(client, created, "POST")).status_code == 201
        await server.sessions.end(server.sessions.all[0], CloseReason.CLIENT)
        await eventually(lambda: loopback[0].closed)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"device": "/dev/video77"}, CameraError),
        ({"device": 7}, InvalidInputError),
        ({"width_px": 641}, InvalidConfigError),
        ([], InvalidInputError),
    ],
)
@pytest.mark.usefixtures("loopback")
async def test_what_cannot_be_opened_is_named(engine: Engine, body: Any, error: type[Exception]) -> None:
    async with web_serving(engine) as (server, client):
        created = await client.create()
        assert isinstance(restored(await ask(client, created, "POST", body)), error)
        assert isinstance(restored(await ask(client, created, "POST", {}, token="x")), AuthenticationError)
        assert not server.sessions.all[0].live._watchers


async def test_another_machine_has_no_business_with_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_camera, "_is_here", lambda _: False)
    async with web_serving(engine) as (_, client):
        refused = restored(await ask(client, await client.create(), "POST"))
        assert "comes from another" in refused.message
    async with web_serving(engine, host="0.0.0.0", insecure=True) as (_, client):
        client.http.base_url = client.http.base_url.copy_with(host="127.0.0.1")
        assert (await client.http.get("/v1/info")).json()["virtual_camera"] is False


async def test_without_pyvirtualcam_the_extra_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_camera, "virtual_camera_installed", lambda: False)
    async with web_serving(engine) as (_, client):
        answer = await ask(client, await client.create(), "POST")
        assert answer.status_code == 501
        assert "avatar-sdk[virtualcam]" in restored(answer).message
