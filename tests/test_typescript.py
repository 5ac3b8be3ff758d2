"""The TypeScript client: generated code, types, lint, its own tests, and those against the real service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import avatar_client
import pytest
from PIL import Image

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.server import Server, ServerConfig
from avatar_sdk.session import SessionLimits

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients/typescript"
TOOLS = ROOT / "node_modules/.bin"
SIZE_PX = 128
KEY = "a key of the server"
AROUND_EXAMPLES = """
declare const fileInput: HTMLInputElement, call: RTCPeerConnection, peerConnection: RTCPeerConnection;
declare const process: { env: Record<string, string> };
declare function readFile(path: string): Promise<Uint8Array>;
declare function nextPose(): import("@avatar-sdk/client").Pose;
declare function publish(picture: Uint8Array): Promise<void>;
"""
"""What the examples in the READMEs take for granted."""

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (TOOLS / "vitest").exists(),
    reason="THE TYPESCRIPT CLIENT IS NOT TESTED: it needs Node 20.19 or newer, and `npm ci`",
)


@pytest.fixture(scope="module")
def built() -> None:
    """The client compiled into `dist`."""
    done = subprocess.run(["node", "scripts/build.mjs"], cwd=CLIENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str, *arguments: str, cwd: Path = CLIENT) -> None:
    """Runs one of the tools that `npm ci` installs; what it says when it fails is the test's failure."""
    done = subprocess.run([TOOLS / name, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_protocol_code_is_current() -> None:
    pytest.importorskip("grpc_tools", reason="needs the dev extra")
    check = [sys.executable, "-W", "ignore", str(ROOT / "tools/generate_typescript.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_formatted_linted_and_typed() -> None:
    tool("biome", "check", "--error-on-warnings", ".", cwd=ROOT)
    tool("tsc", "--noEmit")


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    files = [
        path
        for pattern in ("*.ts", "*.mjs")
        for folder in ("src", "test", "bench", "scripts")
        for path in (CLIENT / folder).rglob(pattern)
    ]
    too_long = {path.name for path in files if "gen" not in path.parts and len(path.read_text().splitlines()) > 400}
    assert files
    assert not too_long


def test_its_own_tests_pass() -> None:
    tool("vitest", "run", "--exclude", "test/live/**")


@pytest.mark.usefixtures("built")
def test_the_package_holds_what_was_built_and_nothing_else() -> None:
    packed = subprocess.run(
        ["npm", "pack", "--dry-run", "--json", "--ignore-scripts"],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {file["path"] for file in json.loads(packed.stdout)[0]["files"]}
    loose = {name for name in files if not name.startswith("dist/")}
    assert loose == {"LICENSE", "README.md", "package.json"}
    assert {name.rsplit(".", 2)[-1] for name in files - loose} == {"js", "ts"}
    manifest = json.loads((CLIENT / "package.json").read_text())
    for entry, places in manifest["exports"].items():
        if isinstance(places, dict) and Path(CLIENT / places["@avatar-sdk/source"]).exists():
            assert {places["types"][2:], places["default"][2:]} <= files, entry


@pytest.mark.parametrize("page", ["README.md", "clients/typescript/README.md"])
def test_the_examples_in_the_readme_fit_the_client(page: str) -> None:
    fenced = re.findall(r"```ts\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    examples = [example for example in fenced if example.startswith("import")]  # the others are pieces of one
    assert examples
    with tempfile.TemporaryDirectory(dir=CLIENT, prefix=".examples-") as folder:
        for number, example in enumerate(examples):
            (Path(folder) / f"{number}.mts").write_text(AROUND_EXAMPLES + example)
        options = (
            "--ignoreConfig",
            "--noEmit",
            "--types",
            "",
            "--target",
            "es2022",
            "--module",
            "nodenext",
            "--strict",
            "false",
            "--skipLibCheck",
        )
        tool("tsc", *options, "--customConditions", "@avatar-sdk/source", *map(str, Path(folder).iterdir()))


def test_it_bears_the_one_version() -> None:
    assert json.loads((CLIENT / "package.json").read_text())["version"] == avatar_client.__version__
    assert f'VERSION = "{avatar_client.__version__}"' in (CLIENT / "src/version.ts").read_text()


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    fetched = [name for name, package in lock["packages"].items() if "://" in package.get("resolved", "")]
    assert not fetched


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("built")
async def test_both_transports_reach_the_real_service(
    tmp_path: Path, sample_portrait: Path, sample_poses: Path
) -> None:
    certificate = make_certificate(tmp_path)
    portrait, camera = tmp_path / "portrait.png", tmp_path / "camera.jpg"
    with Image.open(sample_portrait) as image:
        face = image.convert("RGB")
        face.resize((256, 256)).save(portrait)
        face.resize((320, 320)).save(camera, quality=90)
    engines = [Engine.load(EngineConfig(model="warp", slots=1)) for _ in range(2)]
    async with contextlib.AsyncExitStack() as stack:
        here, spare, secure = [
            await stack.enter_async_context(serving(engine, **config))
            for engine, config in (
                (engines[0], {}),
                (engines[1], {"limits": SessionLimits(resume_window_s=1.0, idle_timeout_s=1.5)}),
                (engines[1], {"token": KEY, "certificate": certificate, "key": tmp_path / "key.pem"}),
            )
        ]
        live = {
            "grpc": here.address,
            "web": web_address(here),
            "spareGrpc": spare.address,
            "spareWeb": web_address(spare),
            "secureGrpc": secure.address.replace("127.0.0.1", "localhost"),
            "secureWeb": web_address(secure).replace("127.0.0.1", "localhost"),
            "authority": str(certificate),
            "key": KEY,
            "portrait": str(portrait),
            "camera": str(camera),
            "poses": str(sample_poses),
        }
        environment = {"AVATAR_LIVE": json.dumps(live), "NODE_EXTRA_CA_CERTS": str(certificate)}
        await node(TOOLS / "vitest", "run", "test/live", **environment)
        frame = tmp_path / "frame.jpg"
        said = await node(ROOT / "samples/node_client.mjs", portrait, sample_poses, frame, here.address)
        assert "ms from pose to frame" in said
        with Image.open(frame) as image:
            assert image.size == (SIZE_PX, SIZE_PX)
        addresses = ("--grpc", here.address, "--web", f"http://{web_address(here)}")
        quick = ("--portrait", portrait, "--seconds", "1", "--rounds", "1", "--warm-up", "0.1")
        assert "WebSocket / gRPC" in await node("bench/transports.mjs", *addresses, *quick)


async def node(program: str | Path, *arguments: str | Path, **environment: str) -> str:
    """What a program of Node prints; the service goes on meanwhile."""
    process = await asyncio.create_subprocess_exec(
        "node",
        program,
        *arguments,
        cwd=CLIENT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()
    return said.decode()


@contextlib.asynccontextmanager
async def serving(engine: Engine, **config: object) -> AsyncIterator[Server]:
    """A service on free ports, gRPC and web."""
    settings = {
        "port": 0,
        "web_port": 0,
        "size_px": SIZE_PX,
        "warm_up": False,
        "drain_grace_s": 0.1,
        "limits": SessionLimits(resume_window_s=1.0),
        **config,
    }
    async with Server(ServerConfig(**settings), engine) as server:
        yield server


def web_address(server: Server) -> str:
    """ "host:port" of its web port."""
    assert server.web is not None
    return server.web.url.split("//")[1].rstrip("/")


def make_certificate(folder: Path) -> Path:
    """A certificate for this machine, and its key as `key.pem` beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program to make a certificate")
    certificate = folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {folder / 'key.pem'} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate
