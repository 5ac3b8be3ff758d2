"""What a browser gets from the web port, and which pages may call it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from avatar_client.errors import InvalidConfigError
from starlette.applications import Starlette
from web_service import web_serving
from websockets.exceptions import InvalidStatus

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server, ServerConfig
from avatar_sdk.server.web import page

HOSTILE = "https://evil.example"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=1))


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder like the one the page's build makes, with something beside it that nobody may read."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "page/assets").mkdir(parents=True)
    (tmp_path / "page/index.html").write_text("<p>the page</p>")
    (tmp_path / "page/assets/main-3f2a.js").write_text("1")
    (tmp_path / "page/link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "tracker").mkdir()
    (tmp_path / "tracker/face_mesh.wasm").write_bytes(b"\\0asm")
    return tmp_path


def browse(folder: Path) -> httpx.AsyncClient:
    app = Starlette(routes=page.routes(folder / "page", folder / "tracker"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_the_page_is_asked_for_again_and_what_bears_a_digest_is_kept(built: Path) -> None:
    browser = browse(built)
    index = await browser.get("/")
    assert "the page" in index.text
    assert index.headers["cache-control"] == "no-cache"
    again = await browser.get("/", headers={"If-None-Match": index.headers["etag"]})
    assert again.status_code == 304
    script = await browser.get("/assets/main-3f2a.js")
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    wasm = await browser.get("/tracker/face_mesh.wasm")
    assert (wasm.status_code, wasm.headers["content-type"]) == (200, "application/wasm")


async def test_without_a_build_the_page_says_how_to_make_one_and_with_one_it_does_not(built: Path) -> None:
    assert "make page" not in (await browse(built).get("/")).text
    (built / "page/index.html").unlink()
    said = await browse(built).get("/")
    assert "make page" in said.text
    assert said.headers["cache-control"] == "no-store"


async def test_without_the_trackers_files_they_are_not_found(built: Path) -> None:
    assert page.has_tracker(built / "tracker")
    (built / "tracker/face_mesh.wasm").unlink()
    assert not page.has_tracker(built / "tracker")
    assert (await browse(built).get("/tracker/face_mesh.wasm")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/tracker/%2e%2e/secret.txt",
        "/tracker/..%5csecret.txt",
        "/%00",
        "//etc/passwd",
        "/link.txt",
        "/assets",
        "/assets/",
        "/tracker/",
    ],
)
async def test_nothing_outside_the_folder_is_served_and_no_folder_is_listed(built: Path, path: str) -> None:
    browser = browse(built)
    request = httpx.Request("GET", "http://test/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await browser.send(request, follow_redirects=True)
    assert answer.status_code == 404
    assert "secret" not in answer.text
    assert "main-3f2a" not in answer.text


async def test_every_answer_says_what_a_browser_may_do_with_it(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        for path in ("/", "/v1/info", "/nowhere", "/tracker/none.js"):
            answer = await client.http.get(path)
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self' 'wasm-unsafe-eval';" in policy
            assert "unsafe-inline" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "server" not in answer.headers


async def test_a_page_learns_what_the_server_offers(engine: Engine) -> None:
    async with web_serving(engine, token="k") as (server, client):
        assert server.web is not None
        info = (await client.http.get("/v1/info")).json()
        assert (info["model"], info["server_tracking"], info["requires_token"]) == ("warp", True, True)
        assert {"version", "tracker_assets", "virtual_camera", "whep"} <= set(info)
        server.web.service.features["whep"] = True
        assert (await client.http.get("/v1/info")).json()["whep"]
    async with web_serving(engine, server_tracking=False) as (_, client):
        info = (await client.http.get("/v1/info")).json()
        assert (info["server_tracking"], info["requires_token"]) == (False, False)


async def test_other_sites_may_not_call_nor_connect(engine: Engine) -> None:
    async with web_serving(engine) as (server, client):
        for origin in (HOSTILE, "null", client.url.rstrip("/").replace("http:", "ftp:"), "http://[bad"):
            answer = await client.post("GetServerInfo", b"", Origin=origin)
            assert answer.status_code == 403, origin
            assert "access-control-allow-origin" not in answer.headers
            with pytest.raises(InvalidStatus) as caught:
                await client.socket(origin=origin)
            assert caught.value.response.status_code == 403
            assert b"--allow-origin" in caught.value.response.body
        preflight = await client.http.options(
            "/v1/info", headers={"Origin": HOSTILE, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 403
        assert len(server.sessions) == 0


async def test_the_own_page_and_allowed_sites_may(engine: Engine) -> None:
    async with web_serving(engine, allowed_origins=("https://example.com",)) as (_, client):
        own = client.url.rstrip("/")
        assert (await client.post("GetServerInfo", b"", Origin=own)).status_code == 200
        await client.socket(origin=own)
        answer = await client.post("GetServerInfo", b"", Origin="https://example.com")
        assert answer.headers["access-control-allow-origin"] == "https://example.com"
        assert "Origin" in answer.headers["vary"]
        await client.socket(origin="https://example.com")
        preflight = await client.http.options(
            "/avatar.v1.AvatarService/CreateSession",
            headers={
                "Origin": "https://example.com",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type, connect-protocol-version",
            },
        )
        assert preflight.status_code == 200
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        assert (await client.post("GetServerInfo", b"", Origin="https://example.com.evil.org")).status_code == 403


async def test_a_site_that_gives_its_name_our_address_does_not_pass_for_our_page(engine: Engine) -> None:
    async with web_serving(engine) as (_, client):
        for host in ("evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[bad"):
            answer = await client.post("GetServerInfo", b"", Host=host, Origin=f"http://{host}")
            assert answer.status_code == 403, host
            assert "does not go by the name" in answer.json()["message"]
        for host in ("localhost:8080", "127.0.0.2", "[::1]:8080", "LOCALHOST", "192.168.1.7:8080"):
            assert (await client.post("GetServerInfo", b"", Host=host)).status_code == 200, host
    async with web_serving(engine, allowed_origins=("https://avatar.example",)) as (_, client):
        assert (await client.post("GetServerInfo", b"", Host="avatar.example")).status_code == 200
    async with web_serving(engine, token="k") as (_, client):
        given = {"Host": "avatar.example", "Authorization": "Bearer k"}
        assert (await client.post("GetServerInfo", b"", **given)).status_code == 200


@pytest.mark.parametrize("origin", ["*", "example.com", "https://example.com/", "https://example.com/page", ""])
def test_an_origin_that_is_none_is_named(origin: str) -> None:
    with pytest.raises(InvalidConfigError, match="allowed origin"):
        ServerConfig(allowed_origins=(origin,))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
async def test_with_a_certificate_the_page_and_the_socket_are_encrypted(engine: Engine, tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    words = f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.check_hostname = False
    async with web_serving(engine, certificate=certificate, key=key) as (_, client):
        assert client.url.startswith("https://")
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as browser:
            assert (await browser.get(f"{client.url}v1/info")).json()["model"] == "warp"
        stream = await client.socket(ssl=trusting, origin=client.url.rstrip("/"))
        assert stream.socket.subprotocol == "avatar.v1"
    key.write_text("no key")
    with pytest.raises(InvalidConfigError, match="TLS files cannot be read"):
        async with web_serving(engine, certificate=certificate, key=key):
            pass


async def test_a_page_that_listens_everywhere_gives_an_address_that_others_can_use(engine: Engine) -> None:
    async with web_serving(engine, host="0.0.0.0", insecure=True) as (_, client):
        assert socket.gethostname() in client.url
        port = client.url.rstrip("/").rpartition(":")[2]
        async with httpx.AsyncClient(trust_env=False) as browser:
            assert (await browser.get(f"http://127.0.0.1:{port}/v1/info")).json()["server_tracking"] is False


async def test_a_web_port_in_use_is_named_and_the_grpc_port_is_given_back(engine: Engine) -> None:
    async with web_serving(engine) as (first, client):
        assert first.web is not None
        taken = int(first.web.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(InvalidConfigError, match=f"{taken} cannot be bound for the page.*--no-web"):
            async with Server(ServerConfig(port=0, web_port=taken, warm_up=False, drain_grace_s=0.1), engine):
                pass
        assert (await client.call("GetServerInfo")).model == "warp"
    with pytest.raises(InvalidConfigError, match="web_port is 70000"):
        ServerConfig(web_port=70_000)
